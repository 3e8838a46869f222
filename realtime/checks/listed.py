"""Settings that are lists, for checks that go on when one has a wrong type."""

from __future__ import annotations

from ..conf import realtime_settings


def listed(key: str) -> tuple[str, ...]:
    """Return the entries of a list in `REALTIME`; none if it is no list, which E003 reports."""
    value = getattr(realtime_settings, key)
    return value if isinstance(value, tuple) else ()
