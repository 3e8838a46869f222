"""The clocks of a connection: pongs and expiry."""

import asyncio
import time

import pytest

from realtime.authentication import Identity
from realtime.codes import CloseCode
from tests.support.sessions import call, send

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_missing_pong_closes(open_session, alice, settings):
    settings.REALTIME = {"PING_SECONDS": 0.01, "PONG_SECONDS": 0.02}
    session = open_session(Identity(alice))
    await call(session, connect={})
    assert await session.transport.until_closed() == CloseCode.NO_PONG


async def test_a_pong_keeps_the_connection(open_session, alice, settings):
    settings.REALTIME = {"PING_SECONDS": 0.02, "PONG_SECONDS": 1}
    session = open_session(Identity(alice))
    await call(session, connect={})
    for count in range(1, 4):
        async with asyncio.timeout(60):
            while session.transport.frames.count({}) < count:
                session.transport.changed.clear()
                await session.transport.changed.wait()
        await send(session, "{}")
    assert session.transport.closed is None


async def test_a_clock_that_is_set_back_lengthens_no_token(
    open_session, alice, settings, monkeypatch
):
    settings.REALTIME = {"EXPIRY_GRACE_SECONDS": 0}
    session = open_session(Identity(alice, expires_at=time.time() + 0.2))
    await call(session, connect={})
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    assert await session.transport.until_closed() == CloseCode.EXPIRED


async def test_an_expired_token_closes_after_the_grace(open_session, alice, settings):
    settings.REALTIME = {"EXPIRY_GRACE_SECONDS": 0}
    session = open_session(Identity(alice, expires_at=time.time() + 0.05))
    await call(session, connect={})
    assert await session.transport.until_closed() == CloseCode.EXPIRED
