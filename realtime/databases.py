"""Reads from the database that takes the writes: a replica may lag behind the change to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import router
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


class _WriteRouter:
    """A router that comes before those of the site, and has no opinion most of the time."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return router.db_for_write(model, **hints) if _is_wanted.get() else None
