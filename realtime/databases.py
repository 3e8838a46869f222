"""What we ask of Django's databases beyond queries.

Reads from the database that takes the writes, because a replica may lag behind the change to look
at; and calls after a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import router, transaction
from django.db.models import Model

Params = ParamSpec("Params")
Result = TypeVar("Result")

_is_wanted: ContextVar[bool] = ContextVar("realtime_reads_are_up_to_date", default=False)


@contextmanager
def up_to_date_reads() -> Iterator[None]:
    """Inside of it, every model is read from the database that `DATABASE_ROUTERS` writes it to.

    That holds for the code of the site as well: for its rules, its authentication backends and its
    sessions. Without routers it does nothing.
    """
    routers = router.routers
    if routers and not isinstance(routers[0], _WriteRouter):
        routers.insert(0, _WriteRouter())
    token = _is_wanted.set(True)
    try:
        yield
    finally:
        _is_wanted.reset(token)


def reads_up_to_date(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """As `up_to_date_reads`, for a function."""

    @wraps(function)
    def wrapper(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        with up_to_date_reads():
            return function(*args, **kwargs)

    return wrapper


OnCommit = Callable[[Callable[[], None], str | None, bool], None]
"""Takes a call, the alias of its database, and whether its exceptions are only logged."""


def on_commit(call: Callable[[], None], using: str | None, robust: bool) -> None:
    """Django's `transaction.on_commit`, or what stands in for it in a test that never commits."""
    _on_commit(call, using, robust)


def replace_on_commit(instead: OnCommit | None) -> None:
    """Let `on_commit` call `instead`; None: Django's own again."""
    global _on_commit
    _on_commit = instead or _on_djangos_commit


def _on_djangos_commit(call: Callable[[], None], using: str | None, robust: bool) -> None:
    transaction.on_commit(call, using=using, robust=robust)


_on_commit: OnCommit = _on_djangos_commit


class _WriteRouter:
    """A router that comes before those of the site, and has no opinion most of the time."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return router.db_for_write(model, **hints) if _is_wanted.get() else None
