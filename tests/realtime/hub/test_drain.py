"""Graceful shutdown of the connections of one loop, without a server and without a signal."""

import asyncio
import time

import pytest

from realtime.connection.session import Session
from realtime.hub import drain
from realtime.hub.node import close_node, get_node
from realtime.protocols.centrifuge import CentrifugeProtocol
from tests.support.sessions import RecordingTransport


@pytest.fixture
def brief(settings):
    settings.REALTIME = {**settings.REALTIME, "DRAIN_SECONDS": 1}


@pytest.fixture
async def open_session(brief):
    def _open():
        node = get_node()
        session = Session(transport=RecordingTransport(), protocol=CentrifugeProtocol(), node=node)
        session.open()
        node.sessions.add(session)
        return session

    yield _open
    await close_node()


async def test_all_are_closed_though_the_loop_is_busy(open_session):
    """One close a turn of the loop would take 200 of its turns, 4 s of them."""
    sessions = [open_session() for _ in range(200)]
    busy = True

    def keep_busy():
        time.sleep(0.02)
        if busy:
            loop.call_soon(keep_busy)

    loop = asyncio.get_running_loop()
    keep_busy()
    begun = loop.time()
    draining = asyncio.create_task(drain.drain())
    async with asyncio.timeout(60):
        for session in sessions:
            await session.transport.until_closed()
    took = loop.time() - begun
    busy = False
    await draining
    assert {session.transport.closed[0] for session in sessions} == {3001}
    assert took < 2


async def test_a_command_that_hangs_is_closed_in_time(open_session):
    session = open_session()
    session.pending += 1
    begun = asyncio.get_running_loop().time()
    draining = asyncio.create_task(drain.drain())
    assert await session.transport.until_closed() == 3001
    assert asyncio.get_running_loop().time() - begun >= 0.75, "it was not given its time"
    await draining


async def test_a_redis_that_hangs_does_not_hold_the_process(open_session, monkeypatch, caplog):
    async def hang():
        await asyncio.Event().wait()

    open_session()
    monkeypatch.setattr(drain, "close_node", hang)
    async with asyncio.timeout(60):
        await drain.drain()
    assert "Redis could not be tidied in time" in caplog.text


async def test_connections_are_closed_one_after_the_other(open_session):
    sessions = [open_session() for _ in range(20)]
    draining = asyncio.create_task(drain.drain())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(session.is_closed for session in sessions) < 10
    await draining
    assert all(session.is_closed for session in sessions)


async def test_without_a_drain_time_all_are_closed_at_once_and_redis_is_tidied(
    open_session, settings, caplog
):
    settings.REALTIME = {**settings.REALTIME, "DRAIN_SECONDS": 0}
    sessions = [open_session() for _ in range(20)]
    await drain.drain()
    assert {session.transport.closed[0] for session in sessions} == {3001}
    assert "could not be tidied" not in caplog.text
