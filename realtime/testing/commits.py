"""What waits for a commit, in a test whose own transaction is never committed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .. import databases

logger = logging.getLogger("realtime.testing")


class _Call:
    """A call of ours that waits for a commit, among the callbacks of the site."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def __call__(self) -> None:
        self.call()


@contextmanager
def commits_of_tests() -> Iterator[None]:
    """Inside of it, the transaction that a `TestCase` puts around each test is none: what this app
    does after a commit is done when the code under test would have committed.

    The callbacks of the site are left alone: Django has `captureOnCommitCallbacks` for them.
    """
    with ExitStack() as stack:
        for alias in connections:
            connection = connections[alias]
            commit = partial(_commit_savepoint, connection, connection.savepoint_commit)
            stack.enter_context(mock.patch.object(connection, "savepoint_commit", commit))
        databases.replace_on_commit(_on_commit)
        try:
            yield
        finally:
            databases.replace_on_commit(None)


def run_waiting() -> None:
    """Make the calls that wait for no transaction but that of the test. A block with
    `atomic(savepoint=False)` does not report its end."""
    for alias in connections:
        _run_waiting(connections[alias])


def _on_commit(call: Callable[[], None], using: str | None, robust: bool) -> None:
    connection = transaction.get_connection(using)
    transaction.on_commit(_Call(call), using=using, robust=robust)
    _run_waiting(connection)


def _commit_savepoint(
    connection: BaseDatabaseWrapper, commit: Callable[[str], None], savepoint: str
) -> None:
    commit(savepoint)
    _run_waiting(connection)


def _run_waiting(connection: BaseDatabaseWrapper) -> None:
    if not _is_only_of_the_test(connection):
        return
    waiting: list[Any] = connection.run_on_commit
    ours = [entry for entry in waiting if isinstance(entry[1], _Call)]
    # In place: Django's own helpers for tests remember the list.
    waiting[:] = [entry for entry in waiting if not isinstance(entry[1], _Call)]
    for _, call, robust in ours:
        try:
            call()
        except Exception:
            if not robust:
                raise
            logger.exception("a call after a commit failed")


def _is_only_of_the_test(connection: BaseDatabaseWrapper) -> bool:
    """Return whether all open blocks are those that Django's `TestCase` has opened."""
    blocks: list[Any] = connection.atomic_blocks
    return bool(blocks) and all(getattr(block, "_from_testcase", False) for block in blocks)
