"""The insides of redis-py that `connection` uses: a release may drop each of them."""

import ast
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
import redis.asyncio
from redis.asyncio.connection import AbstractConnection

import realtime
from realtime.layers.redis import connection

PACKAGE = Path(realtime.__file__).parent
USER = Path(connection.__file__).relative_to(PACKAGE.parent)


def a_connection():
    return redis.asyncio.Connection()


def a_pool():
    return redis.asyncio.ConnectionPool()


NAMES = [
    (a_connection, "_writer", "is the stream whose socket is taken over"),
    (a_connection, "disconnect", "closes what is left of a connection that was taken over"),
    (a_pool, "get_connection", "opens a connection"),
    (a_pool, "release", "gives back the place of a connection that has ended"),
]


@pytest.mark.parametrize(("owner", "name", "use"), NAMES, ids=[name for _, name, _ in NAMES])
def test_redis_py_has_it(owner, name, use):
    assert hasattr(owner(), name), (
        f"redis-py {version('redis')}: {owner()!r} has no {name} any more. In {USER}, {name} {use}."
    )


def test_a_connection_can_be_closed_without_waiting():
    assert "nowait" in inspect.signature(AbstractConnection.disconnect).parameters, (
        f"redis-py {version('redis')}: disconnect() has no `nowait` any more. {USER} uses it, "
        "because a connection that was taken over has no reader that could see its end."
    )


async def test_the_stream_of_an_open_connection_is_one_of_asyncio(redis_server):
    pool = redis.asyncio.ConnectionPool.from_url(redis_server)
    opened = await pool.get_connection()
    try:
        assert hasattr(opened._writer.transport, "set_protocol"), (
            f"redis-py {version('redis')}: `_writer` is no stream of asyncio any more. "
            f"{USER} takes over its transport."
        )
    finally:
        await opened.disconnect(nowait=True)
        await pool.release(opened)
        await pool.disconnect()


def test_no_other_module_uses_insides_of_redis_py():
    inside = {"_writer", "get_connection", "release", "nowait"}
    users = {
        path.relative_to(PACKAGE.parent)
        for path in (PACKAGE / "layers").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.keyword)
        and (node.attr if isinstance(node, ast.Attribute) else node.arg) in inside
    }
    assert users == {USER}
