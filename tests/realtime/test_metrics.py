"""The counters of a process: what is counted where, and what a snapshot holds."""

import asyncio

import msgspec
import pytest

from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.layers.redis import refusals
from realtime.metrics import DEFINITIONS, SECONDS, Histogram, Snapshot, metrics
from realtime.rooms.publications import NOTHING_KEPT
from tests.support.sessions import call, is_publication


@pytest.fixture(autouse=True)
def no_counts():
    metrics.reset()


def test_a_histogram_has_a_bucket_for_what_is_above_all_bounds():
    histogram = Histogram()
    for seconds in (0.0004, 0.001, 0.0011, 99):
        histogram.observe(seconds)
    assert (histogram.buckets[:2], histogram.buckets[-1]) == ([2, 1], 1)
    assert len(histogram.buckets) == len(SECONDS) + 1
    assert histogram.total == pytest.approx(99.0025)


def test_a_snapshot_has_every_metric():
    metrics.closed["3000"] += 2
    snapshot = metrics.snapshot("host:1", {"connections": 3, "rooms": 1, "outbox_bytes": 0})
    read = msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot)
    assert read == snapshot
    assert {*read.values, *read.labelled, *read.buckets} == {each.name for each in DEFINITIONS}
    assert read.labelled["closed"] == {"3000": 2}


@pytest.mark.django_db(transaction=True)
async def test_what_clients_do_is_counted(open_session, alice, lobby):
    session = open_session(Identity(alice))
    assert metrics.connections_opened == 1
    await call(session, connect={})
    await call(session, subscribe={"channel": "lobby", "recover": True, "offset": 0})
    assert metrics.recoveries == {"recovered": 1}
    await call(session, publish={"channel": "lobby", "data": 1})
    await session.transport.until(is_publication)
    assert metrics.published == metrics.delivered == 1
    assert sum(metrics.publish_seconds.buckets) == 1
    await call(session, subscribe={"channel": "nowhere"})
    await call(session, subscribe={"channel": "lobby", "recover": True})
    assert metrics.refused == {"rights": 1, "other": 1}
    assert sum(metrics.right_seconds.buckets) >= 2
    session.close(CloseCode.SLOW)
    session.close(CloseCode.NORMAL)
    assert metrics.closed == {"3008": 1}


@pytest.mark.django_db(transaction=True)
async def test_messages_of_the_server_are_delivered_too(node, open_session, alice, lobby):
    sessions = []
    for _ in range(3):
        session = open_session(Identity(alice))
        await call(session, connect={"subs": {"lobby": {}}})
        sessions.append(session)
    await node.layer.append("lobby", b'{"data":1}', NOTHING_KEPT)
    for session in sessions:
        await session.transport.until(is_publication)
    await asyncio.sleep(0)  # it is counted after the last one
    assert (metrics.published, metrics.delivered) == (0, 3)


def test_kinds_of_refusals_of_redis_are_bounded():
    from redis.exceptions import ResponseError

    for words in ("NOPERM no", "NEWERROR what", "WEIRD x"):
        refusals.report(ResponseError(words))
    refusals.report(ConnectionError())
    assert metrics.redis_refused == {"NOPERM": 1, "other": 2, "no answer": 1}
