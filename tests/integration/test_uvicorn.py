"""uvicorn with the WebSocket protocol class of this app: only the speed differs."""

import asyncio
import json
from functools import partial

import pytest
import uvicorn
import websockets

from realtime.consumers import RealtimeConsumer
from tests.support import processes

SECONDS = 60


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("uvicorn-fast", redis=True)


@pytest.fixture
async def members(open_client, sign):
    clients = [await open_client(sign(name)) for name in ("alice", "bob", "carol")]
    for client in clients:
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    return clients


async def listen(client, count):
    """The publications, and ids of replies, of a client that reads and answers pings."""
    said, replied = [], []
    async with asyncio.timeout(SECONDS):
        while len(said) < count:
            for line in (await client.connection.recv()).split("\n"):
                frame = json.loads(line)
                if not frame:
                    await client.connection.send("{}")
                elif "publish" in frame:
                    replied.append(frame["id"])
                elif "pub" in frame.get("push", {}):
                    said.append(frame["push"]["pub"]["data"])
    return said, replied


@pytest.mark.parametrize("size", [0, 1, 50, 126, 1_000, 20_000])
async def test_everybody_gets_what_was_said(members, size):
    said = ["é" * (size // 2), "<b>"]
    await members[0].call(publish={"channel": "lobby", "data": said})
    async with asyncio.timeout(SECONDS):
        heard = [await member.publication() for member in members]
    assert [publication["data"] for publication in heard] == [said] * 3
    assert len({publication["offset"] for publication in heard}) == 1


async def test_a_flood_of_commands_is_obeyed_in_order_and_answered_in_order(members):
    alice, bob, _ = members
    listening = [asyncio.create_task(listen(member, 2_000)) for member in (alice, bob)]
    ids = [await alice.send(publish={"channel": "lobby", "data": n}) for n in range(2_000)]
    (said, replied), (heard, _) = await asyncio.gather(*listening)
    assert said == heard == list(range(2_000))
    assert replied == ids[: len(replied)]


async def test_many_commands_of_one_frame_are_obeyed(members):
    alice, bob, _ = members
    commands = [{"id": 1_000 + n, "publish": {"channel": "lobby", "data": n}} for n in range(300)]
    await alice.connection.send("\n".join(map(json.dumps, commands)))
    assert (await listen(bob, 300))[0] == list(range(300))


async def test_a_reader_that_stops_is_cut_and_the_others_go_on(members, open_client, sign):
    slow = await open_client(sign("admin"), max_queue=1, ping_interval=None)
    assert "subscribe" in await slow.call(subscribe={"channel": "lobby"})
    publisher = await open_client(sign("bob"))
    listening = [asyncio.create_task(listen(member, 150)) for member in members]
    for number in range(150):
        data = [number, "x" * 61_440]
        assert "publish" in await publisher.call(publish={"channel": "lobby", "data": data})
    for said, _ in await asyncio.gather(*listening):
        assert [number for number, _ in said] == list(range(150))
    assert await slow.closed() == 3008


async def test_closes_and_errors_have_their_codes(site, open_client, sign):
    client = await open_client(connect=False)
    await client.send(connect={"token": "x.y.z"})
    assert await client.closed() == 3500
    client = await open_client(sign("alice"))
    await client.connection.send(b"binary")
    assert await client.closed() == 3501
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(site.ws_url, origin="https://elsewhere.example")


async def test_text_that_is_not_utf_8_ends_only_its_own_connection(members):
    alice, bob, carol = members
    await alice.connection.send(b"\xff\xfe", text=True)
    async with asyncio.timeout(SECONDS):
        assert await alice.closed() == 1007
    call = partial(bob.call, publish={"channel": "lobby", "data": "still here"})
    assert "publish" in await call()
    assert (await carol.publication())["data"] == "still here"


class Echo:
    """In the place of an inbox."""

    is_full = False

    def __init__(self, socket):
        self.socket = socket
        self.has_ended = asyncio.Event()

    def receive(self, text):
        self.socket.write_frame(text)

    def end(self):
        self.has_ended.set()


async def test_a_connection_that_was_taken_over_needs_nothing_of_uvicorn_but_its_end():
    taken = []

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        socket = RealtimeConsumer().take_over(receive, send)
        taken.append(Echo(socket))
        socket.listen(taken[0])

    config = uvicorn.Config(
        application,
        port=processes.free_port(),
        ws="realtime.uvicorn:WebSocketProtocol",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(SECONDS):
        while not server.started:
            await asyncio.sleep(0.01)
        async with websockets.connect(f"ws://127.0.0.1:{config.port}/") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert len(server.server_state.connections) == 1
            assert not server.server_state.tasks, "the application has ended"
            server.should_exit = True
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd.code == 1012
        await taken[0].has_ended.wait()
        await serving
    assert not server.server_state.connections
