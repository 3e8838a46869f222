"""Our protocol class for uvicorn, without a network: handshakes, and what they accept."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from realtime.transports.uvicorn import WebSocketProtocol
from realtime.transports.websocket import Socket

HEAD = (
    b"GET /ws/ HTTP/1.1\r\n"
    b"Host: example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and ends its protocol as a loop does."""

    def __init__(self, address):
        super().__init__({"peername": (address, 50_000)})
        self.written = b""
        self.ended = asyncio.Event()
        self.protocol = None

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.ended.is_set()

    def set_protocol(self, protocol):
        self.protocol = protocol

    def close(self):
        if not self.is_closing():
            self.ended.set()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


@pytest.fixture
async def connect():
    """`connect(data, application)`: a protocol, and the transport over which it has got `data`."""
    opened = []
    state = ServerState()

    def _connect(
        data, application=None, *, protocol_class=WebSocketProtocol, address="192.0.2.7", **options
    ):
        config = uvicorn.Config(application, lifespan="off", log_config=None, **options)
        config.load()
        protocol = protocol_class(config=config, server_state=state, app_state={})
        transport = FakeTransport(address)
        transport.protocol = protocol
        protocol.connection_made(transport)
        protocol.data_received(data)
        opened.append(transport)
        return protocol, transport

    yield _connect
    for transport in opened:
        transport.close()
    await settle()
    assert not state.connections


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def accept(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


# Compression


class Compressing(WebSocketProtocol):
    compression = True


async def test_the_compression_that_browsers_offer_is_not_accepted(connect):
    taken = []

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        taken.append(receive.__self__.take_over())

    _, transport = connect(HEAD + b"\r\n", application)
    await settle()
    assert transport.written.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in transport.written.lower()
    assert isinstance(taken[0], Socket)
    assert transport.protocol is taken[0]


@pytest.mark.parametrize("flag", [True, False])
async def test_a_subclass_may_compress_if_uvicorn_does(connect, flag):
    protocol, transport = connect(
        HEAD + b"\r\n", accept, protocol_class=Compressing, ws_per_message_deflate=flag
    )
    await settle()
    assert (b"permessage-deflate" in transport.written) is flag
    if flag:
        assert protocol.take_over() is None
        assert not protocol.write_text("hello")
