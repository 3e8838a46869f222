"""Connections of Daphne that are taken over, and those that are not."""

import asyncio
import gc
import weakref

import pytest
from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketProtocol as DaphneProtocol
from websockets.frames import CloseCode, Frame, Opcode

from realtime.transports import servers
from tests.support.daphne_connections import SECONDS, Client, accept, serve
from tests.support.transports import settle


class Echo:
    """Takes the place of an inbox."""

    is_full = False

    def __init__(self, socket):
        self.socket = socket
        self.ended = asyncio.Event()

    def receive(self, text):
        self.socket.write_frame(text)

    def charge(self, frames):
        pass

    def end(self):
        self.ended.set()

    give_up = end


class Application:
    """Echoes, and takes over what it can."""

    def __init__(self, wrap_receive=lambda receive: receive, wrap_send=lambda send: send):
        self.taken = []
        self.wrap_receive = wrap_receive
        self.wrap_send = wrap_send

    async def __call__(self, scope, receive, send):
        receive, send = self.wrap_receive(receive), self.wrap_send(send)
        await receive()
        await self.accept(send)
        socket = servers.take_over(receive, send)
        self.taken.append(socket)
        if socket is not None:
            self.inbox = Echo(socket)
            socket.listen(self.inbox)
            return
        while (event := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": event["text"]})

    async def accept(self, send):
        await send({"type": "websocket.accept"})


@pytest.fixture
async def connect():
    """`connect(application)`: a client, the server, and the connection of Twisted."""
    opened = []

    async def _connect(application, **options):
        server = serve(application, **options)
        sock, connection = accept(server)
        client = Client(sock)
        opened.append((client, server, connection))
        application.connection = connection
        return await client.connect(), server, connection

    yield _connect
    for client, server, connection in opened:
        await client.abort()
        connection.abortConnection()
        for details in server.connections.values():
            if task := details.get("application_instance"):
                task.cancel()
    await settle()


async def test_an_accepted_connection_is_taken_over_and_daphne_forgets_it(connect):
    application = Application()
    client, server, connection = await connect(application)
    client.send("a", "b" * 100_000)
    assert [await client.answer(), await client.answer()] == ["a", "b" * 100_000]
    assert application.taken[0] is not None
    left = {type(each): weakref.ref(each) for each in server.connections}
    assert set(left) == {WebRequest, DaphneProtocol}
    gc.disable()
    try:
        server.application_checker()
        assert server.connections == {}
        assert [reference() for reference in left.values()] == [None, None], "no cycle holds them"
    finally:
        gc.enable()
    connection.loseConnection()  # whoever still calls it
    connection.write(b"not sent")
    client.send("c")
    assert await client.answer() == "c"


async def test_both_close_with_code_and_reason_and_daphne_logs_it(connect):
    logged = []
    application = Application()

    def log(*entry):
        logged.append(entry)

    client, _, _ = await connect(application, action_logger=log)
    client.send("a")
    await client.answer()
    assert application.taken[0].write_close(3001, "going away for a while")
    assert await client.closed() == (3001, "going away for a while")
    async with asyncio.timeout(SECONDS):
        await application.inbox.ended.wait()
    assert logged[-1][:2] == ("websocket", "disconnected")
    assert logged[-1][2]["path"] == "/ws/"
    assert logged[-1][2]["client"].startswith("127.0.0.1:")

    client, _, _ = await connect(application)
    client.close(3000, "bye")
    assert await client.closed() == (3000, "bye")


async def test_a_client_that_is_cut_off_is_noticed(connect):
    application = Application()
    client, _, _ = await connect(application)
    client.send("a")
    await client.answer()
    await client.abort()
    async with asyncio.timeout(SECONDS):
        await application.inbox.ended.wait()


@pytest.mark.parametrize("seconds", [0, -1])
async def test_the_time_limit_of_daphne_holds(connect, seconds):
    application = Application()
    client, _, _ = await connect(application, websocket_timeout=seconds)
    if seconds < 0:  # none
        client.send("a")
        assert await client.answer() == "a"
    else:
        assert await client.closed() == (CloseCode.NORMAL_CLOSURE, "")


def wrapped(call):
    async def _wrapped(*args):
        return await call(*args)

    return _wrapped


@pytest.mark.parametrize("wraps", [{"wrap_receive": wrapped}, {"wrap_send": wrapped}])
async def test_who_wants_to_see_what_comes_and_goes_sees_it(connect, wraps):
    application = Application(**wraps)
    client, _, _ = await connect(application)
    client.send("a")
    assert await client.answer() == "a"
    assert application.taken == [None]


class Changed:
    """Has the attributes of something else, without one or with another value."""

    def __init__(self, original, name, value=None):
        self.__dict__.update(_original=original, _name=name, _value=value)

    def __getattr__(self, name):
        if name == self._name and self._value is None:
            raise AttributeError(name)
        return self._value if name == self._name else getattr(self._original, name)

    def __setattr__(self, name, value):
        setattr(self._original, name, value)


OF_DAPHNE = ["application_queue", "server", "request", "client_addr"]
OF_AUTOBAHN = ["state", "STATE_OPEN", "STATE_CLOSED", "data", "current_frame", "inside_message"]
OF_TWISTED = [
    *("getHandle", "TLS", "connected", "disconnecting", "disconnected", "doWrite", "dataBuffer"),
    *("_tempDataLen", "producer", "stopReading", "stopWriting", "unregisterProducer"),
]


@pytest.mark.parametrize("name", [*OF_DAPHNE, *OF_AUTOBAHN, *OF_TWISTED])
async def test_if_a_name_has_changed_daphnes_own_way_holds(connect, monkeypatch, name):
    def without(protocol):
        if name in OF_TWISTED:
            return Changed(protocol, "transport", Changed(protocol.transport, name))
        return Changed(protocol, name)

    found = servers.daphne.protocol_of
    monkeypatch.setattr(servers.daphne, "protocol_of", lambda send: without(found(send)))
    application = Application()
    client, server, _ = await connect(application)
    client.send("a")
    assert await client.answer() == "a"
    assert application.taken == [None]
    assert not any("disconnected" in details for details in list(server.connections.values())[1:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TLS", True),
        ("getHandle", lambda: "of OpenSSL"),
        ("disconnecting", True),
        ("wrappedProtocol", "another one"),
        ("dataBuffer", b"not written yet"),
    ],
)
async def test_what_is_no_plain_socket_is_left_to_daphne(connect, monkeypatch, name, value):
    found = servers.daphne.protocol_of

    def changed(send):
        protocol = found(send)
        return Changed(protocol, "transport", Changed(protocol.transport, name, value))

    monkeypatch.setattr(servers.daphne, "protocol_of", changed)
    application = Application()
    client, _, _ = await connect(application)
    client.send("a")
    assert await client.answer() == "a"
    assert application.taken == [None]


@pytest.mark.parametrize("part", ["a message", "half of one"])
async def test_what_daphne_has_read_already_is_not_lost(connect, part):
    frame = Frame(Opcode.TEXT, b"early").serialize(mask=True)
    cut = len(frame) if part == "a message" else 7

    class Late(Application):
        async def accept(self, send):
            await super().accept(send)
            self.connection.protocol.dataReceived(frame[:cut])

    application = Late()
    client, _, _ = await connect(application)
    client.write(frame[cut:])
    assert await client.answer() == "early"
    assert application.taken == [None]
    client.send("later")
    assert await client.answer() == "later"
