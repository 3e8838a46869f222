"""The insides of servers that `transports` uses: a release may drop each of them.

uvicorn, websockets, Daphne, Autobahn and Twisted promise none of these names. Each is used in one
module; if one goes, the failing test says what no longer works.

Long, because it names each of them.
"""

import ast
import asyncio
import inspect
import io
import pprint
import socket
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from autobahn.twisted.websocket import WebSocketAdapterProtocol
from autobahn.websocket import protocol as autobahn_protocol
from autobahn.websocket.protocol import WebSocketProtocol as AutobahnProtocol
from daphne.access import AccessLogGenerator
from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol as DaphneProtocol
from twisted.internet import tcp as twisted_tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper
from twisted.web import http as twisted_http
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

import realtime
from realtime.transports import daphne, websockets_library
from realtime.transports.daphne_reading import LATE_MAX, PIECE_BYTES
from tests.support.daphne_connections import accept, serve
from tests.support.transports import settle

PACKAGE = Path(realtime.__file__).parent


def a_uvicorn_protocol():
    async def application(scope, receive, send):
        pass

    config = uvicorn.Config(application, ws="websockets-sansio", log_config=None)
    config.load()
    loop = asyncio.new_event_loop()
    try:
        return WebSocketsSansIOProtocol(config, ServerState(), {}, loop)
    finally:
        loop.close()


def a_parser():
    return websockets_library.open_parser(1024)


def a_uvicorn_http_protocol(name):
    async def application(scope, receive, send):
        pass

    config = uvicorn.Config(application, http=name, log_config=None)
    config.load()
    loop = asyncio.new_event_loop()
    try:
        return config.http_protocol_class(config, ServerState(), {}, loop)
    finally:
        loop.close()


UVICORN = [
    ("close_sent", "says that the application has closed"),
    ("handshake_initiated", "says that the application was called"),
    ("handshake_complete", "says that the connection was accepted"),
    ("client", "has the address by which unfinished handshakes are counted"),
    ("writable", "is set while the client reads"),
    ("conn", "is the parser, whose state and extensions are looked at"),
    ("queue", "holds what the application has not received yet"),
    ("read_paused", "says that reading is paused"),
    ("connections", "lists the open connections, which uvicorn closes at its end"),
    ("handle_connect", "answers a handshake, of which we drop a header that is empty"),
    ("stop_keepalive", "ends the pings of uvicorn after a take-over"),
    ("send_receive_event_to_app", "pauses reading after each message, which we prevent"),
    ("send", "sends what is no plain text"),
]
UVICORN_HTTP = [
    ("loop", "has the timer"),
    ("client", "has the address by which unfinished requests are counted"),
    ("transport", "is aborted when the time is up"),
]
UVICORN_HTTPTOOLS = [
    ("cycle", "says whether a request is being answered"),
    ("on_headers_complete", "says that a head is finished"),
    ("on_message_complete", "says that a request is finished"),
    ("handle_websocket_upgrade", "hands a handshake over"),
]
UVICORN_H11 = [("conn", "says whether a head is awaited")]
WEBSOCKETS = [
    ("state", "says whether messages may be sent"),
    ("parser_exc", "says that the client has broken the protocol"),
    ("close_rcvd", "says that the client has closed"),
    ("current_size", "is None between two messages"),
    ("parser", "holds the last frame until it is closed"),
    ("max_message_size", "limits what is buffered of a message"),
    ("available_extensions", "lists what a handshake may accept"),
    ("handshake_exc", "says that the handshake was refused"),
    ("extensions", "lists what changes the frames, such as compression"),
    ("reader", "has a `buffer` with bytes that are not parsed yet"),
    ("events_received", "returns the frames that were parsed"),
    ("data_to_send", "returns the answers to pings and closes"),
    ("fail", "closes with a code"),
]


DAPHNE_HTTP = [
    ("line_mode", "says that a head is awaited"),
    ("_buffer", "holds the beginning of a line"),
    ("requests", "says that the first line has come"),
    ("transport", "is aborted when the time is up"),
    ("connectionMade", "begins a connection"),
    ("dataReceived", "begins a later request"),
    ("allHeadersReceived", "says that a head is finished"),
    ("setTimeout", "says with None that the connection has ended"),
]


TAKES = "is needed to take a connection over"
TWISTED_SOCKET = [
    *("connected", "disconnected", "disconnecting", "dataBuffer", "_tempDataLen", "TLS"),
    *(
        "doWrite",
        "getHandle",
        "producer",
        "protocol",
        "stopReading",
        "stopWriting",
        "unregisterProducer",
    ),
]
AUTOBAHN_SOCKET = ["STATE_CLOSED", "STATE_OPEN", "current_frame", "data", "inside_message", "state"]
DAPHNE_SOCKET = ["application_queue", "client_addr", "request", "server"]


def complaint(library, name, module, use):
    return (
        f"{library} {version(library.partition(' ')[0])} has no {name} any more. "
        f"In realtime/transports/{module}, {name} {use}."
    )


@pytest.mark.parametrize(("name", "use"), UVICORN, ids=[name for name, _ in UVICORN])
def test_uvicorn_has_it(name, use):
    assert hasattr(a_uvicorn_protocol(), name), complaint("uvicorn", name, "uvicorn.py", use)


@pytest.mark.parametrize(
    ("http", "name", "use"),
    [
        *[("httptools", *row) for row in UVICORN_HTTP + UVICORN_HTTPTOOLS],
        *[("h11", *row) for row in UVICORN_HTTP + UVICORN_H11],
    ],
)
def test_the_http_classes_of_uvicorn_have_it(http, name, use):
    assert hasattr(a_uvicorn_http_protocol(http), name), complaint(
        f"uvicorn ({http})", name, "uvicorn_http.py", use
    )


def test_the_requests_of_uvicorn_say_whether_they_are_answered():
    # A class body has no names of instances to look at.
    assert "self.response_complete = True" in inspect.getsource(httptools_impl), complaint(
        "uvicorn", "cycle.response_complete", "uvicorn_http.py", "says that a request is answered"
    )


def test_the_lifespan_protocol_of_uvicorn_has_the_configuration():
    async def application(scope, receive, send):
        pass

    config = uvicorn.Config(application, log_config=None)
    config.load()
    receive = config.lifespan_class(config).receive
    assert receive.__self__.config is config, "see limit_request_heads in transports/servers.py"
    assert "config.http_protocol_class(" in inspect.getsource(uvicorn.Server.startup), (
        "uvicorn_http.py sets config.http_protocol_class after the configuration was loaded"
    )


@pytest.mark.parametrize(("name", "use"), WEBSOCKETS, ids=[name for name, _ in WEBSOCKETS])
def test_websockets_has_it(name, use):
    assert hasattr(a_parser(), name), complaint("websockets", name, "websockets_library.py", use)


def test_the_reader_of_websockets_has_a_buffer():
    use = "holds bytes that are not parsed yet, with which no connection is taken over"
    assert hasattr(a_parser().reader, "buffer"), complaint(
        "websockets", "reader.buffer", "websockets_library.py", use
    )


def test_websockets_masks_frames_for_us():
    assert websockets_library.apply_mask(b"\x00\xff", b"\x0f\x0f\x0f\x0f") == b"\x0f\xf0"


@pytest.mark.parametrize("name", TWISTED_SOCKET)
async def test_the_connections_of_twisted_give_their_socket_away(name):
    client, connection = accept(serve(None))
    try:
        assert hasattr(connection, name), complaint("twisted", name, "daphne_socket.py", TAKES)
        assert isinstance(connection.getHandle(), socket.socket), complaint(
            "twisted", "getHandle", "daphne_socket.py", "is the socket, without TLS"
        )
    finally:
        client.close()
        connection.abortConnection()
        await settle()


def test_a_transport_of_twisted_that_wraps_another_one_has_what_it_wraps():
    wrapper = ProtocolWrapper(None, "wrapped")
    assert wrapper.wrappedProtocol == "wrapped", complaint(
        "twisted", "wrappedProtocol", "daphne_socket.py", "tells plain connections apart"
    )


@pytest.mark.parametrize("name", AUTOBAHN_SOCKET)
def test_autobahn_says_what_it_has_read(name):
    has_it = hasattr(AutobahnProtocol, name) or f"self.{name} = " in inspect.getsource(
        AutobahnProtocol
    )
    assert has_it, complaint("autobahn", name, "daphne_socket.py", TAKES)


def test_autobahn_formats_the_options_of_a_connection_in_one_line(monkeypatch):
    use = "takes a third of the CPU time of a handshake"
    called = "attrs=pformat(" in inspect.getsource(AutobahnProtocol._connectionMade)
    assert called, complaint("autobahn", "pformat", "daphne.py", use)
    monkeypatch.setattr(autobahn_protocol, "pformat", pprint.pformat)
    daphne.spare_formatting()
    assert autobahn_protocol.pformat is repr
    monkeypatch.setattr(autobahn_protocol, "pformat", complaint)
    daphne.spare_formatting()
    assert autobahn_protocol.pformat is complaint, "something else stays"


@pytest.mark.parametrize("name", DAPHNE_SOCKET)
def test_daphne_says_what_it_knows_of_a_connection(name):
    assert f"self.{name} = " in inspect.getsource(DaphneProtocol), complaint(
        "daphne", name, "daphne_socket.py", TAKES
    )


@pytest.mark.parametrize("name", ["protocol_disconnected", "log_action", "websocket_timeout"])
def test_the_server_of_daphne_lets_a_connection_go(name):
    assert hasattr(serve(None), name), complaint("daphne", name, "daphne_socket.py", TAKES)


@pytest.mark.parametrize(("name", "use"), DAPHNE_HTTP, ids=[name for name, _ in DAPHNE_HTTP])
def test_the_http_class_of_twisted_has_it(name, use):
    assert hasattr(twisted_http.HTTPChannel(), name), complaint(
        "twisted", name, "daphne_http.py", use
    )


def test_daphne_makes_its_connections_of_the_http_class_of_twisted():
    use = "makes the protocol of a connection, of which we replace the class"
    own = twisted_http._genericHTTPChannelProtocolFactory
    assert twisted_http.HTTPFactory.protocol is own, complaint(
        "twisted", "_genericHTTPChannelProtocolFactory", "daphne_http.py", use
    )
    assert "HTTPFactory.buildProtocol(" in inspect.getsource(HTTPFactory.buildProtocol), complaint(
        "daphne", "HTTPFactory", "daphne_http.py", use
    )
    assert "HTTPFactory(self)" in inspect.getsource(Server.run), complaint(
        "daphne", "server.HTTPFactory", "daphne_http.py", use
    )
    channel = twisted_http.HTTPChannel()
    protocol = twisted_http._GenericHTTPChannelProtocol(channel)
    protocol.makeConnection(StringTransport())
    assert channel.transport.producer is channel
    channel.connectionLost(None)


def test_daphne_gives_its_protocol_to_the_application():
    calls = inspect.getsource(Server.create_application)
    assert "partial(self.handle_reply, protocol)" in calls, (
        f"daphne {version('daphne')} calls the application in another way. "
        "realtime/transports/daphne.py finds the protocol of a connection in `send.args`."
    )


def test_daphne_writes_its_access_log_with_a_function_of_the_server():
    use = "keeps credentials out of its access log"
    source = inspect.getsource(Server.log_action)
    assert "self.action_logger(protocol, action, details)" in source, complaint(
        "daphne", "action_logger", "daphne.py", use
    )
    stream = io.StringIO()
    server = SimpleNamespace(action_logger=AccessLogGenerator(stream))
    send = partial(print, SimpleNamespace(server=server))
    for _ in range(2):
        daphne.mask_access_log(send)
    path = "/socket.io/?EIO=4&token=s3cret&sid=s3cret"
    details = {"client": "::1", "method": "GET", "path": path, "status": 200, "size": 2}
    server.action_logger("http", "complete", details)
    assert '"GET /socket.io/?EIO=4&token=***&sid=***" 200 2' in stream.getvalue()


def test_daphne_keeps_the_scheme_that_a_proxy_sends():
    assert "self.client_scheme" in inspect.getsource(DaphneProtocol.onConnect), complaint(
        "daphne", "client_scheme", "daphne.py", "is the scheme with --proxy-headers"
    )


def test_the_transports_of_twisted_with_tls_have_a_certificate():
    use = "tells TLS apart"
    for kind in (ITCPTransport, ISSLTransport):
        has_it = "getPeerCertificate" in kind.names(all=True)
        assert has_it is (kind is ISSLTransport), complaint(
            "twisted", "getPeerCertificate", "daphne.py", use
        )


@pytest.mark.parametrize(
    ("known", "scheme"),
    [
        ({"transport": SimpleNamespace()}, "ws"),
        ({"transport": SimpleNamespace(getPeerCertificate=None)}, "wss"),
        ({"transport": SimpleNamespace(), "client_scheme": "https"}, "https"),
        ({"transport": SimpleNamespace(), "client_scheme": None}, "ws"),
        ({}, None),
    ],
)
def test_the_scheme_of_daphnes_connections(known, scheme):
    assert daphne.scheme_of(partial(print, SimpleNamespace(**known))) == scheme


@pytest.mark.parametrize("server", [httptools_impl, h11_impl])
def test_the_responses_of_uvicorn_have_the_connection(server):
    assert "self.transport = transport" in inspect.getsource(server.RequestResponseCycle), (
        complaint("uvicorn", "RequestResponseCycle.transport", "servers.py", "is cut")
    )


def test_the_responses_of_twisted_have_the_connection():
    use = "is cut, and has a socket"
    assert "self.transport = self.channel.transport" in inspect.getsource(twisted_http.Request), (
        complaint("twisted", "Request.transport", "servers.py", use)
    )
    for name in ("abortConnection", "getHandle"):
        assert hasattr(twisted_tcp.Connection, name), complaint("twisted", name, "servers.py", use)


def test_autobahn_has_a_time_to_close():
    names = AutobahnProtocol.CONFIG_ATTRS_COMMON
    use = "is the time that a client has to answer a close"
    assert "closeHandshakeTimeout" in names, complaint(
        "autobahn", "closeHandshakeTimeout", "daphne.py", use
    )
    assert issubclass(DaphneProtocol, AutobahnProtocol)


@pytest.mark.parametrize("name", ["maxFramePayloadSize", "maxMessagePayloadSize"])
def test_autobahn_limits_what_it_buffers(name):
    assert name in AutobahnProtocol.CONFIG_ATTRS_COMMON, complaint(
        "autobahn", name, "daphne.py", "limits what is buffered of a frame"
    )


@pytest.mark.parametrize("name", ["onPing", "sendPong"])
def test_autobahn_answers_pings(name):
    assert hasattr(DaphneProtocol, name), complaint(
        "autobahn", name, "daphne.py", "answers a ping, unless too many answers are unread"
    )


@pytest.mark.parametrize("name", ["onPing", "onPong", "onMessageFrameBegin"])
def test_autobahn_tells_of_each_frame(name):
    use = "charges frames that are no whole message"
    assert hasattr(DaphneProtocol, name), complaint("autobahn", name, "daphne.py", use)
    called = inspect.getsource(WebSocketAdapterProtocol)
    assert f"self.{name}(" in called, complaint("autobahn", name, "daphne.py", use)
    assert "self.current_frame = None" in inspect.getsource(AutobahnProtocol), complaint(
        "autobahn", "current_frame", "daphne.py", use
    )


def a_daphne_connection(**buffer):
    calls = []
    transport = SimpleNamespace(
        abortConnection=lambda: calls.append("abort"),
        pauseProducing=lambda: calls.append("pause"),
        resumeProducing=lambda: calls.append("resume"),
        disconnecting=False,
        **buffer,
    )
    protocol = SimpleNamespace(transport=transport, maxFramePayloadSize=0, sendPong=calls.append)
    return partial(print, protocol), protocol, calls


def test_the_buffers_of_autobahn_are_limited():
    send, protocol, calls = a_daphne_connection(dataBuffer=b"x" * 100)
    daphne.limit_buffers(send, 1_000, 200)
    assert (protocol.maxFramePayloadSize, protocol.maxMessagePayloadSize) == (1_000, 1_200)
    protocol.onPing(b"a")
    protocol.transport.dataBuffer = b"x" * 201
    protocol.onPing(b"b")
    assert calls == [b"a", "abort"]


def a_daphne_reader(**buffer):
    """A connection of Daphne that parses a frame for each byte, all of them pongs."""
    send, protocol, calls = a_daphne_connection(**buffer)
    protocol.parsed = []
    protocol.dataReceived = protocol.parsed.append
    protocol.onPong = lambda payload: None
    protocol.state = protocol.STATE_OPEN = 3
    protocol.STATE_CLOSING, protocol.STATE_CLOSED = 2, 0
    return send, protocol, calls


async def test_frames_of_daphne_that_are_no_whole_message_are_charged():
    send, protocol, calls = a_daphne_reader()
    charged, begun = [], []
    protocol.onMessageFrameBegin = begun.append
    daphne.limit_buffers(send, 1_000, 200)
    daphne.charge_frames(send, charged.append)
    protocol.onPing(b"a")
    protocol.onPong(b"")
    for is_last in (False, False, True):
        protocol.current_frame = SimpleNamespace(fin=is_last)
        protocol.onMessageFrameBegin(5)
    assert (calls, begun, sum(charged)) == ([b"a"], [5, 5, 5], 4)
    daphne.charge_frames(print, charged.append)  # another server


async def test_a_client_of_daphne_that_goes_on_after_our_close_is_cut():
    send, protocol, calls = a_daphne_reader()
    protocol.onMessageFrameBegin = protocol.onPing = lambda argument: None
    daphne.charge_frames(send, lambda frames: None)
    protocol.state = protocol.STATE_CLOSING
    for _ in range(LATE_MAX - 1):
        protocol.onPing(b"")
    assert calls == []
    for _ in range(2):
        protocol.onPong(b"")
    assert calls == ["abort"]


async def test_what_was_read_of_a_client_of_daphne_is_parsed_in_pieces():
    send, protocol, calls = a_daphne_reader()
    protocol.onMessageFrameBegin = protocol.onPing = lambda argument: None
    daphne.charge_frames(send, lambda frames: None)
    protocol.dataReceived(b"a")
    assert (protocol.parsed, calls) == ([b"a"], [])
    data = bytes(range(256)) * 40
    protocol.dataReceived(data)
    protocol.dataReceived(b"b")
    assert calls == ["pause"]
    while calls == ["pause"]:
        parsed = len(protocol.parsed)
        await asyncio.sleep(0)
        assert len(protocol.parsed) <= parsed + 1
    assert b"".join(protocol.parsed) == b"a" + data + b"b"
    assert max(map(len, protocol.parsed)) == PIECE_BYTES
    assert calls == ["pause", "resume"]


async def test_reading_from_a_client_of_daphne_is_paused():
    send, protocol, calls = a_daphne_reader()
    protocol.onMessageFrameBegin = protocol.onPing = lambda argument: None
    daphne.pause_reading(send)()  # nothing to pause yet
    daphne.charge_frames(send, lambda frames: None)
    read_on = daphne.pause_reading(send)
    protocol.dataReceived(b"a")
    assert protocol.parsed == []
    read_on()
    await asyncio.sleep(0)
    assert protocol.parsed == [b"a"]
    assert calls.pop() == "resume"
    read_on = daphne.pause_reading(send)
    calls.clear()
    protocol.transport.disconnecting = True
    read_on()
    assert calls == []
    daphne.pause_reading(print)()  # another server


@pytest.mark.parametrize("name", ["STATE_CLOSING", "STATE_CLOSED", "dataReceived"])
def test_autobahn_reads_in_pieces(name):
    assert hasattr(DaphneProtocol, name), complaint(
        "autobahn", name, "daphne_reading.py", "parses a few frames at a time"
    )


@pytest.mark.parametrize("name", ["pauseProducing", "resumeProducing", "disconnecting"])
def test_twisted_pauses_reading(name):
    assert hasattr(FileDescriptor(reactor=object()), name), complaint(
        "twisted", name, "daphne.py", "stops reading from a client whose command waits"
    )


def test_autobahn_closes_with_a_reason():
    assert hasattr(DaphneProtocol, "sendClose"), complaint(
        "autobahn", "sendClose", "daphne.py", "closes with a code and a reason"
    )


@pytest.mark.parametrize("name", ["dataBuffer", "offset", "_tempDataLen"])
def test_twisted_tells_what_it_holds(name):
    use = "counts the bytes that a client has not read"
    assert hasattr(FileDescriptor(reactor=object()), name), complaint(
        "twisted", name, "daphne.py", use
    )


def test_bytes_held_by_twisted_are_counted():
    transport = SimpleNamespace(dataBuffer=b"12345", offset=2, _tempDataLen=10)
    sink = daphne.DaphneSink(lambda event: None, SimpleNamespace(transport=transport))
    assert sink.held_bytes() == 13


def test_each_library_is_known_by_few_modules():
    """The others import only what our own modules give them."""
    owners = {
        "uvicorn": {"transports/uvicorn.py", "transports/uvicorn_http.py"},
        "websockets": {"transports/websockets_library.py"},
        "daphne": set(),
        "autobahn": set(),
        "twisted": set(),
    }
    found = {library: set() for library in owners}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            else:
                continue
            for library in {module.partition(".")[0] for module in modules} & set(owners):
                found[library].add(str(path.relative_to(PACKAGE)))
    assert found == owners
