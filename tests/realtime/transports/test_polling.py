"""Sessions of clients that poll: requests, mistakes, and the end."""

import asyncio
import json

import pytest

from realtime.codes import CloseCode
from realtime.protocols.engineio import NOOP
from realtime.transports.engineio import EngineIO
from realtime.transports.polling_sessions import get_sessions
from tests.support.polling import PollingClient, authenticate, start_poll


@pytest.fixture
async def client(consumer):
    client = PollingClient(EngineIO(consumer, authenticate))
    await client.open()
    return client


def session_of(client):
    return get_sessions().get(client.sid)


# Requests


async def test_commands_are_answered_through_polls(client):
    reply = await client.call(id=1, connect={})
    assert reply["connect"]["client"] == str(client.app._opener.sessions[0].id)


async def test_a_poll_waits_until_something_is_there(client):
    poll = await start_poll(client)
    await client.post('4{"id":1,"connect":{}}')
    assert json.loads((await poll).packets[0][1:])["id"] == 1


async def test_what_is_written_in_one_tick_leaves_together_and_in_order(client):
    await client.call(id=1, connect={})
    poll = await start_poll(client)
    for number in range(5):
        client.app._opener.sessions[0].write(f"4{number}")
    assert (await poll).packets == ["40", "41", "42", "43", "44"]


async def test_what_is_written_between_two_polls_waits(client):
    await client.call(id=1, connect={})
    session = client.app._opener.sessions[0]
    session.write("4a")
    session.write(b"\x00\xff")
    assert await client.poll() == ["4a", "bAP8="]


async def test_several_packets_come_in_one_request(client):
    await client.post('4{"id":1,"connect":{}}', '4{"id":2,"rpc":{"method":"x"}}')
    packets = await client.poll()
    if len(packets) < 2:
        packets += await client.poll()
    assert [json.loads(packet[1:])["id"] for packet in packets] == [1, 2]


async def test_bytes_come_as_one_message(client):
    await client.call(id=1, connect={})
    await client.post("b/wA=")
    reply = json.loads((await client.poll())[0][1:])
    assert reply["id"] == 9 and "error" in reply


async def test_a_ping_is_answered_through_a_post(client):
    await client.call(id=1, connect={})
    session = client.app._opener.sessions[0]
    session.send_ping()
    assert await client.poll() == ["2"]
    await client.post("3")
    assert session.timers._pong is None and not session.is_closed


async def test_a_post_waits_while_too_many_commands_do(client, monkeypatch):
    await client.call(id=1, connect={})
    inbox, taken = session_of(client)._inbox, []
    go_on = asyncio.Event()

    class Slow:
        async def wait(self, message):
            await go_on.wait()
            taken.append(message)

        def receive(self, message):
            return self.wait(message)

    inbox._receiver = Slow()
    post = asyncio.create_task(client.post(*(f"4{number}" for number in range(100))))
    await asyncio.sleep(0.05)
    assert not post.done()
    go_on.set()
    await post
    async with asyncio.timeout(30):
        while len(taken) < 100:
            await asyncio.sleep(0)
    assert taken == [f"4{number}" for number in range(100)]


# Mistakes of clients


async def test_two_polls_at_once_end_the_session(client):
    poll = await start_poll(client)
    second = await client.request()
    assert second.status == 400
    assert (await poll).packets == ["1"]
    assert (await client.request()).code == 1


async def test_two_posts_at_once_end_the_session(client):
    await client.call(id=1, connect={})
    inbox = session_of(client)._inbox
    never = asyncio.Event()

    class Stuck:
        def receive(self, message):
            return never.wait()

    inbox._receiver = Stuck()
    first = asyncio.create_task(client.request("POST", "\x1e".join(["4x"] * 50).encode()))
    await asyncio.sleep(0.05)
    assert (await client.request("POST", b"4y")).status == 400
    assert (await first).status == 200
    assert (await client.request()).code == 1
    inbox.give_up()


@pytest.mark.parametrize("body", [b"", b"x", b"4a\x1e", b"b*", b"\xff", b"9"])
async def test_a_broken_payload_ends_the_session(client, body):
    poll = await start_poll(client)
    assert (await client.request("POST", body)).status == 400
    assert (await poll).packets == ["1"]
    assert (await client.request()).code == 1


async def test_a_client_that_leaves_its_poll_has_left(client):
    poll = await start_poll(client)
    client.gone.set()
    assert await poll is None
    assert not len(get_sessions())


async def test_packets_beyond_the_allowance_are_refused_unread(client, settings):
    settings.REALTIME = {**settings.REALTIME, "COMMANDS_BURST": 20, "COMMANDS_PER_SECOND": 0.01}
    await client.call(id=1, connect={})
    session = client.app._opener.sessions[0]
    await client.post(*['4{"id":2,"rpc":{"method":"x"}}'] * 200)
    assert session.is_closed
    answers = await client.poll()
    assert answers[-1] == f"4closed {int(CloseCode.TOO_MANY_REQUESTS)}"
    assert len(answers) < 100


# The end


async def test_the_client_closes(client):
    poll = await start_poll(client)
    await client.post("1")
    assert (await poll).packets == [NOOP]
    assert (await client.request()).code == 1


async def test_the_server_closes_with_an_answer_to_the_poll(client):
    poll = await start_poll(client)
    client.app._opener.sessions[0].close(CloseCode.FORCED)
    # In one answer with the end, stock clients would not hear of it.
    assert (await poll).packets == ["4closed 3503"]
    assert await client.poll() == ["1"]
    assert not len(get_sessions())


async def test_the_server_closes_between_two_polls(client):
    client.app._opener.sessions[0].close(CloseCode.FORCED)
    assert len(get_sessions()) == 1
    await client.post("4late")
    assert await client.poll() == ["4closed 3503"]
    assert await client.poll() == ["1"]
    assert not len(get_sessions())


async def test_a_client_that_does_not_come_back_is_forgotten(client, settings):
    settings.REALTIME = {**settings.REALTIME, "CLOSE_SECONDS": 0.01}
    client.app._opener.sessions[0].close(CloseCode.FORCED)
    async with asyncio.timeout(30):
        while len(get_sessions()):
            await asyncio.sleep(0.01)


async def test_a_client_that_polls_no_more_is_ended(consumer, settings):
    settings.REALTIME = {
        **settings.REALTIME,
        "PING_SECONDS": 0.02,
        "PONG_SECONDS": 0.02,
        "CLOSE_SECONDS": 0.02,
    }
    client = PollingClient(EngineIO(consumer, authenticate))
    await client.open()
    await client.post('4{"id":1,"connect":{}}')
    async with asyncio.timeout(30):
        while len(get_sessions()):
            await asyncio.sleep(0.01)
    assert consumer.sessions[0].is_closed


async def test_a_client_that_does_not_read_is_slow(client):
    await client.call(id=1, connect={})
    session = client.app._opener.sessions[0]
    for _ in range(3_000):
        session.write("4" + "x" * 1_000)
    assert session.is_closed
    assert session_of(client).sink.held_bytes() < 300_000
    assert (await client.poll())[-1] == f"4closed {int(CloseCode.SLOW)}"
    assert await client.poll() == ["1"]


async def test_a_client_that_reads_gets_everything(client):
    await client.call(id=1, connect={})
    session, got = client.app._opener.sessions[0], []
    for number in range(800):
        session.write(f"4{number} " + "x" * 1_000)
    async with asyncio.timeout(30):
        while len(got) < 800:
            packets = await client.poll()
            got += [packet for packet in packets if packet[0] == "4"]
            pongs = [packet for packet in packets if packet == "2"]
            if pongs:
                await client.post(*["3"] * len(pongs))
    assert [int(packet[1:].split()[0]) for packet in got] == list(range(800))
    assert not session.is_closed
