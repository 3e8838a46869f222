"""What a forked process starts afresh: locks that a missing thread holds, and missing threads."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something with locks or threads."""

    def start_afresh(self) -> None:
        """Forget everything that belongs to the parent. Called in a process that was forked."""
        ...


_forkable: WeakSet[Forkable] = WeakSet()


def start_afresh_in_child(forkable: Forkable) -> None:
    """Have `forkable.start_afresh` called in each process that is forked from this one."""
    _forkable.add(forkable)


def _start_afresh() -> None:
    for forkable in list(_forkable):
        forkable.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
