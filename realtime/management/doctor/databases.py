"""The databases that hold users, rooms and sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import Error, connections, router
from django.db.migrations.executor import MigrationExecutor

from ...conf import realtime_settings
from ...models import Room
from ..tables import counted
from .remarks import Remark

SLOW_SECONDS = 0.1


def examine() -> Iterator[Remark]:
    for alias in dict.fromkeys(router.db_for_write(model) for model in (Room, get_user_model())):
        yield from _examine(alias)


def _examine(alias: str) -> Iterator[Remark]:
    connection = connections[alias]
    about = f"database {alias}"
    try:
        seconds = _time_of_a_query(connection)
        missing = _missing_migrations(connection)
    except Error as error:
        yield Remark(
            "error",
            about,
            f"It can't be asked ({type(error).__name__}).",
            "Start it, or correct DATABASES. Nobody gets in while it is away.",
        )
        return
    if missing:
        yield Remark(
            "error",
            about,
            f"Its tables are older than the code: {counted(len(missing), 'migration')} to do, the "
            f"first is {missing[0]}.",
            "Run manage.py migrate.",
        )
    if seconds > SLOW_SECONDS:
        yield Remark(
            "warning",
            about,
            f"A query that does nothing takes {seconds * 1000:.0f} ms.",
            "Bring the database nearer, or give it more. Joins and sign-ins wait for it.",
        )
    else:
        yield Remark("fine", about, f"{connection.vendor} answers in {seconds * 1000:.1f} ms.")
    yield from _about_connections(about, connection)


def _about_connections(about: str, connection: Any) -> Iterator[Remark]:
    threads = realtime_settings.DATABASE_THREADS
    pool = connection.settings_dict.get("OPTIONS", {}).get("pool")
    if isinstance(pool, dict) and 0 < pool.get("max_size", threads) < threads:
        yield Remark(
            "warning",
            about,
            f"The pool has {pool['max_size']} connections for {threads} threads of this app.",
            "Give the pool a max_size of at least DATABASE_THREADS, and some for the rest.",
        )
    if connection.vendor == "sqlite" and not settings.DEBUG:
        yield Remark(
            "warning",
            about,
            "SQLite lets one process write at a time, and is on one machine.",
            "Use PostgreSQL or MariaDB where several processes serve the site.",
        )


def _time_of_a_query(connection: Any) -> float:
    connection.ensure_connection()
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return time.perf_counter() - started


def _missing_migrations(connection: Any) -> list[str]:
    executor = MigrationExecutor(connection)
    newest = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "realtime"]
    return [str(migration) for migration, _ in executor.migration_plan(newest)]
