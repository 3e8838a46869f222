"""The whole examination, part by part."""

from __future__ import annotations

from collections.abc import Iterator

from . import databases, processes, redis_servers, settings
from .remarks import Remark


def examine() -> Iterator[Remark]:
    """Look at everything that is configured. A part that can't be looked at says so, and the others
    are looked at all the same."""
    for part in (settings, redis_servers, databases, processes):
        yield from part.examine()
