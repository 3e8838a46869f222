"""What the system checks say about the settings, those for deployment too."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core import checks

from .remarks import Level, Remark

_ABOUT = "settings"
_OF_DJANGO = ("security.W009", "security.W020")
"""Of Django's own: a weak key, no hosts. They concern the connections, too."""


def examine() -> Iterator[Remark]:
    found = [
        message
        for message in checks.run_checks(include_deployment_checks=True)
        if message.id and (message.id.startswith("realtime.") or message.id in _OF_DJANGO)
        if not message.is_silenced()
    ]
    for message in found:
        yield Remark(
            _level(message.level), f"{_ABOUT} ({message.id})", message.msg, message.hint or ""
        )
    if not found:
        yield Remark("fine", _ABOUT, "The checks of this app find nothing.")
    if settings.DEBUG:
        yield Remark(
            "warning",
            _ABOUT,
            "DEBUG is on: clients are told more than they need, and Django keeps all queries.",
            "Set DEBUG to False where others can reach the site.",
        )


def _level(level: int) -> Level:
    if level >= checks.ERROR:
        return "error"
    return "warning" if level >= checks.WARNING else "note"
