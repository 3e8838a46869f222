"""Requests that reach another process than the one whose session they are for."""

import asyncio
import uuid

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.hub.node import Node, close_node, get_node
from realtime.transports import relay, session_ids
from realtime.transports.engineio import EngineIO
from realtime.transports.polling_sessions import Sessions, get_sessions
from tests.support.polling import MessageConsumer, PollingClient, authenticate, start_poll


@pytest.fixture
async def here(either_layer, monkeypatch, polling_settings):
    """The process that has the session."""
    monkeypatch.setattr("realtime.hub.node.get_layer", lambda: either_layer)
    sessions = get_sessions()
    yield sessions
    for session in sessions._sessions.copy().values():
        session.end()
    async with asyncio.timeout(30):
        while sessions.relay._tasks:
            await asyncio.sleep(0)
    await close_node()


@pytest.fixture
async def elsewhere(here, either_layer):
    """Another process of the site."""
    node = Node(either_layer)
    sessions = Sessions(node)
    yield sessions
    assert not sessions.relay._asked
    await node.close()


@pytest.fixture
def consumer():
    return MessageConsumer()


@pytest.fixture
async def client(consumer, here, elsewhere):
    """A client that shook hands in one process, and whose requests all reach the other one."""
    client = PollingClient(EngineIO(consumer, authenticate), token="alice")
    await client.open()
    client.app = EngineIO(consumer, authenticate, lambda: elsewhere)
    return client


async def test_polls_and_posts_are_passed_on(client):
    reply = await client.call(id=1, connect={})
    assert reply["connect"]["client"]


async def test_a_poll_may_wait_long(client, here, consumer, monkeypatch):
    monkeypatch.setattr(relay, "QUICK_SECONDS", 0.01)
    monkeypatch.setattr(relay, "TAKEN_SECONDS", 2)
    poll = await start_poll(client)
    await asyncio.sleep(0.1)
    consumer.sessions[0].write("4at last")
    consumer.sessions[0].write(b"\x00")
    assert (await poll).packets == ["4at last", "bAA=="]


async def test_errors_of_the_other_process_come_back(client, here):
    poll = await start_poll(client)
    assert (await client.request()).status == 400
    assert (await poll).packets == ["1"]
    assert (await client.request()).code == 1
    assert not len(here)


async def test_a_body_that_is_too_large_ends_the_session_there(client, here):
    assert (await client.request("POST", b"4" * 10_001)).status == 413
    assert not len(here)


async def test_a_client_that_leaves_its_poll_has_left(client, here):
    poll = await start_poll(client)
    client.gone.set()
    assert await poll is None
    async with asyncio.timeout(30):
        while len(here):
            await asyncio.sleep(0.01)


async def test_an_id_of_another_user_is_unknown_there_too(client, here):
    thief = PollingClient(client.app, token="bob")
    thief.sid = client.sid
    assert (await thief.request("POST", b"1")).code == 1
    later = PollingClient(client.app, token="alice.2")
    later.sid = client.sid
    await later.post('4{"id":1,"connect":{}}')
    assert len(here) == 1


async def test_a_session_of_a_process_that_is_gone_is_unknown(client, monkeypatch):
    monkeypatch.setattr(relay, "TAKEN_SECONDS", 0.05)
    client.sid = session_ids.new(uuid.uuid4().hex[:12])
    assert (await client.request()).code == 1


async def test_a_session_that_its_process_does_not_know_is_unknown(client, here):
    client.sid = session_ids.new(here.process)
    assert (await client.request()).code == 1


async def test_without_redis_the_session_is_unknown(client, elsewhere, monkeypatch):
    async def fail(*args):
        raise LayerUnavailable("away")

    monkeypatch.setattr(elsewhere.relay._layer, "group_send", fail)
    assert (await client.request()).code == 1


async def test_answers_that_may_have_been_missed_are_not_waited_for(client, elsewhere):
    poll = await start_poll(client)
    elsewhere.relay._on_gap()
    assert (await poll).code == 1


async def test_a_session_ends_if_an_answer_of_it_is_lost(client, here, consumer, monkeypatch):
    poll = await start_poll(client)
    send = here.relay._layer.group_send

    async def fail(group, message):
        if message["type"] == relay._ANSWER:
            raise LayerUnavailable("away")
        await send(group, message)

    monkeypatch.setattr(here.relay._layer, "group_send", fail)
    consumer.sessions[0].write("4lost")
    async with asyncio.timeout(30):
        while len(here):
            await asyncio.sleep(0.01)
    client.gone.set()
    await poll


# Ids


def test_an_id_names_its_process():
    process = uuid.uuid4().hex[:12]
    assert session_ids.process_of(session_ids.new(process)) == process


def test_an_id_that_was_changed_names_none():
    sid = session_ids.new("0123456789ab")
    for index in range(len(sid)):
        other = "A" if sid[index] != "A" else "B"
        assert session_ids.process_of(sid[:index] + other + sid[index + 1 :]) == ""


@pytest.mark.parametrize("sid", ["", "x", "=", "A" * 40, "A" * 4_000, "é", "\x00" * 40])
def test_what_nobody_has_made_names_none(sid):
    assert session_ids.process_of(sid) == ""


async def test_the_node_of_this_loop_has_its_sessions_once(here):
    assert get_sessions() is here
    assert here.process == get_node().registry.process.id
