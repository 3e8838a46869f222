"""The time from publishing to the sockets is measured, by samples."""

import asyncio

import pytest

from realtime.authentication import Identity
from realtime.hub import hub as hub_module
from realtime.metrics import metrics
from realtime.rooms.publications import Retention
from tests.support.sessions import call, is_publication

KEEP = Retention(10, 60)

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_message_is_measured_every_now_and_then(
    open_session, node, alice, lobby, monkeypatch
):
    monkeypatch.setattr(hub_module, "PATROL_SECONDS", 0.05)
    metrics.reset()
    session = open_session(Identity(alice))
    await call(session, connect={})
    await call(session, subscribe={"channel": "lobby"})
    for _ in range(5):
        await node.layer.append("lobby", b'{"data":1}', KEEP)
    await session.transport.until(is_publication)
    async with asyncio.timeout(60):
        while not sum(metrics.lag_seconds.buckets):
            await asyncio.sleep(0.01)
    assert sum(metrics.lag_seconds.buckets) == 1, "of all in between, one"
    assert 0 <= metrics.lag_seconds.total < 60
