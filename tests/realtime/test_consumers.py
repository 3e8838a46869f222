"""The edge: which connections are taken over from the server."""

from types import SimpleNamespace

import pytest

from realtime import consumers
from realtime.codes import CloseCode
from realtime.consumers import PlainConsumer, RealtimeConsumer, SocketIOConsumer
from realtime.protocols.plain import plain_protocol
from realtime.sparse_log import SparseLog


class Server:
    """A server that gives its connections away, or has nothing to give."""

    given = object()

    async def receive(self):
        raise NotImplementedError

    async def send(self, message):
        raise NotImplementedError

    def take_over(self):
        return self.given


class OrdinaryServer:
    receive, send = Server.receive, Server.send


async def wrapped(*args):
    raise NotImplementedError


def test_a_connection_is_taken_over_where_the_server_gives_it_away():
    server = Server()
    assert RealtimeConsumer().take_over(server.receive, server.send) is Server.given


@pytest.mark.parametrize(
    "wrap",
    [
        lambda server: (wrapped, server.send),
        lambda server: (server.receive, wrapped),
        lambda server: (Server().receive, server.send),
    ],
    ids=["receive", "send", "of another one"],
)
def test_middleware_that_wants_to_see_what_comes_and_goes_sees_it(wrap):
    assert RealtimeConsumer().take_over(*wrap(Server())) is None


def test_other_servers_keep_their_connections():
    server = OrdinaryServer()
    assert RealtimeConsumer().take_over(server.receive, server.send) is None


def test_a_connection_of_the_plain_protocol_is_taken_over_too():
    server = Server()
    assert PlainConsumer().take_over(server.receive, server.send) is Server.given


class Handshake:
    """A server in the middle of a handshake that offers `subprotocols`."""

    def __init__(self, *subprotocols):
        self.sent = []
        self.scope = {"path": "/ws/", "subprotocols": list(subprotocols)}

    async def receive(self):
        return {"type": "websocket.connect"}

    async def send(self, message):
        self.sent.append(message)


@pytest.mark.parametrize(
    ("consumer", "offered"),
    [(RealtimeConsumer, "graphql-ws"), (PlainConsumer, "centrifuge-protobuf")],
)
async def test_a_client_that_asks_for_a_form_that_is_not_spoken_is_refused(
    consumer, offered, caplog, monkeypatch
):
    monkeypatch.setattr(consumers, "_refused", SparseLog(consumers.logger))
    server = Handshake(offered)
    await consumer()(server.scope, server.receive, server.send)
    assert server.sent == [{"type": "websocket.close", "code": 1000}]
    assert f"it asks for the subprotocol '{offered}'" in caplog.text


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        ([], "centrifuge"),
        (["realtime.v1"], "centrifuge"),
        (["centrifuge-json"], "centrifuge"),
        (["centrifuge-protobuf"], "centrifuge-protobuf"),
        (["realtime.v1", "centrifuge-protobuf"], "centrifuge"),
    ],
)
def test_the_subprotocol_says_in_which_form_a_client_is_served(offered, name):
    assert RealtimeConsumer().protocol(Handshake(*offered).scope).name == name


@pytest.mark.parametrize(("is_busy", "closed"), [(False, [CloseCode.NO_PONG]), (True, [])])
def test_a_client_of_the_plain_protocol_has_to_answer_pings(monkeypatch, is_busy, closed):
    codes, pings = [], []
    session = SimpleNamespace(protocol=plain_protocol("lobby"), is_busy=is_busy, close=codes.append)
    socket = SimpleNamespace(
        listen=lambda inbox: None, start_pings=pings.append, expect_end=lambda seconds: None
    )
    monkeypatch.setattr(PlainConsumer, "_session", lambda *_: (session, SimpleNamespace(), None))
    monkeypatch.setattr(PlainConsumer, "_open", lambda *_: None)
    PlainConsumer()._hand_over({}, socket)
    (on_silence,) = pings
    on_silence()
    assert codes == closed, "one whose command is running may not be read at the moment"


@pytest.mark.parametrize("query", ["", "EIO=3&transport=websocket", "EIO=4&transport=polling"])
async def test_clients_of_another_engineio_are_refused(query):
    server = Handshake()
    scope = {**server.scope, "query_string": query.encode()}
    await SocketIOConsumer()(scope, server.receive, server.send)
    assert server.sent == [{"type": "websocket.close", "code": 1000}]
