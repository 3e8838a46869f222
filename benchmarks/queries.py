"""Counts the database queries of the measured site."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from django.db.backends.signals import connection_created

_numbers = count()
_asked = 0


def watch() -> None:
    """Count from now on, on every database connection."""
    connection_created.connect(_on_connection, dispatch_uid="benchmarks.queries")


def asked() -> int:
    return _asked


def _on_connection(connection: Any, **kwargs: Any) -> None:
    # The same object may connect again.
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _count(execute: Callable[..., Any], *args: Any) -> Any:
    global _asked
    _asked = next(_numbers) + 1
    return execute(*args)
