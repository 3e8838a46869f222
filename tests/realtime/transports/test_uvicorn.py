"""Our protocol class for uvicorn, without a network: handshakes, and what they accept."""

import asyncio
import logging
import os
import subprocess
import sys

import pytest
import uvicorn
from uvicorn.server import ServerState

from realtime.hub.node import close_node, get_node
from realtime.transports.uvicorn import WebSocketProtocol
from realtime.transports.websocket import Socket
from tests.support.transports import FakeTransport, settle

HEAD = (
    b"GET /ws/ HTTP/1.1\r\n"
    b"Host: example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
)


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
    assert not get_node().unauthenticated.count("192.0.2.7")
    await close_node()


async def accept(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def refuse(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def hang(scope, receive, send):
    await receive()
    await receive()


def test_it_can_be_imported_before_the_site():
    """As the workers of uvicorn do."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    subprocess.run([sys.executable, "-c", "import realtime.uvicorn"], env=env, check=True)


# Unfinished handshakes


@pytest.mark.parametrize(
    ("data", "application"),
    [(HEAD, accept), (HEAD + b"\r\n", hang)],
    ids=["the client does not finish", "the application does not answer"],
)
async def test_an_unfinished_handshake_is_cut_after_connect_seconds(
    connect, settings, caplog, data, application
):
    settings.REALTIME = {"CONNECT_SECONDS": 0.05}
    caplog.set_level(logging.INFO, logger="realtime.uvicorn")
    _, transport = connect(data, application)
    assert not transport.is_closing()
    async with asyncio.timeout(60):
        await transport.ended.wait()
    assert "not finished in time" in caplog.text
    assert transport.written == b""


async def test_a_finished_handshake_has_no_time_limit(connect, settings):
    settings.REALTIME = {"CONNECT_SECONDS": 0.05}
    _, slow = connect(HEAD, accept)
    _, transport = connect(HEAD + b"\r\n", accept)
    async with asyncio.timeout(60):
        await slow.ended.wait()
    assert transport.written.startswith(b"HTTP/1.1 101 ")
    assert not transport.is_closing()


async def test_unfinished_handshakes_of_an_address_are_bounded(connect, settings):
    settings.REALTIME = {"UNAUTHENTICATED_PER_ADDRESS": 3}
    waiting = [connect(HEAD, accept)[1] for _ in range(3)]
    assert connect(HEAD, accept)[1].is_closing()
    assert not connect(HEAD, accept, address="192.0.2.8")[1].is_closing(), "others have their own"
    assert not any(transport.is_closing() for transport in waiting)
    waiting.pop().close()
    await settle()
    assert not connect(HEAD, accept)[1].is_closing(), "one has gone"


async def test_unfinished_handshakes_do_not_hinder_others_of_the_same_address(connect, settings):
    """The address may be that of a proxy, for all clients."""
    settings.REALTIME = {"UNAUTHENTICATED_PER_ADDRESS": 3}
    waiting = [connect(HEAD, accept)[0] for _ in range(3)]
    finished = [connect(HEAD + b"\r\n", accept)[1] for _ in range(5)]
    await settle()
    assert all(transport.written.startswith(b"HTTP/1.1 101 ") for transport in finished)
    waiting[0].data_received(b"\r\n")
    await settle()
    assert get_node().unauthenticated.count("192.0.2.7") == 2, "it is finished now"


async def test_a_refused_handshake_gets_its_answer_and_an_end(connect):
    _, transport = connect(HEAD + b"\r\n", refuse)
    await settle()
    assert transport.written.startswith(b"HTTP/1.1 403 ")
    assert transport.is_closing()


async def test_what_is_no_request_ends_at_once(connect):
    _, transport = connect(b"hello\r\n\r\n", accept)
    assert transport.is_closing()


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
        assert not protocol.write_frame("hello")
