"""Requests whose head does not come to its end, in both HTTP classes of uvicorn."""

import asyncio
import logging

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from realtime.hub.node import close_node, get_node
from realtime.routing import lifespan
from realtime.transports import request_heads
from realtime.transports.uvicorn_http import REPLACEMENTS, HTTPProtocol, limit_heads
from tests.support.requests import (
    ADDRESS,
    HALF_A_HEAD,
    HALF_A_LINE,
    HANDSHAKE,
    REST,
    WHOLE,
    answer,
    ended,
    outlives,
)
from tests.support.transports import FakeTransport, settle


@pytest.fixture(params=["httptools", "h11"])
async def connect(request, settings):
    """`connect(application)`: a protocol, and its transport. Heads have 0.05 s from now on."""
    settings.REALTIME = {"CONNECT_SECONDS": 0.05}
    opened = []
    state = ServerState()

    def _connect(application=None, address=ADDRESS, **options):
        config = uvicorn.Config(
            application,
            http=request.param,
            ws="realtime.uvicorn:WebSocketProtocol",
            log_config=None,
            **options,
        )
        config.load()
        limit_heads(config)
        protocol = config.http_protocol_class(config=config, server_state=state, app_state={})
        transport = FakeTransport(address)
        transport.protocol = protocol
        protocol.connection_made(transport)
        opened.append(transport)
        return transport

    yield _connect
    for transport in opened:
        transport.close()
    await settle()
    assert not state.connections
    assert not get_node().unauthenticated.count(ADDRESS)
    await close_node()


@pytest.mark.parametrize(
    "parts",
    [(), (HALF_A_LINE,), (HALF_A_HEAD,), (WHOLE, HALF_A_LINE), (HANDSHAKE[:-2],)],
    ids=["nothing", "half a line", "half a head", "a second one", "half a handshake"],
)
async def test_a_head_that_does_not_end_is_cut_after_connect_seconds(connect, caplog, parts):
    caplog.set_level(logging.INFO, logger="realtime.uvicorn")
    transport = connect(answer)
    for part in parts:
        transport.protocol.data_received(part)
        await settle()
    assert not transport.is_closing()
    await ended(transport)
    assert "not finished in time" in caplog.text


async def test_a_client_that_goes_on_slowly_gets_no_more_time(connect):
    transport = connect(answer)
    for byte in HALF_A_HEAD * 1_000:
        transport.protocol.data_received(bytes([byte]))
        await asyncio.sleep(0.001)
        if transport.is_closing():
            return
    pytest.fail("it was not cut")


async def test_a_finished_head_has_its_answer_and_no_limit(connect):
    transport = connect(answer)
    for part in (HALF_A_LINE[:5], HALF_A_HEAD[5:], REST):
        transport.protocol.data_received(part)
    await settle()
    assert transport.written.endswith(b"hello")
    assert await outlives(transport, connect), "uvicorn's own limit holds between two requests"
    transport.protocol.data_received(WHOLE)
    await settle()
    assert transport.written.count(b"hello") == 2


async def test_a_request_that_is_being_answered_has_no_limit(connect):
    release = asyncio.Event()

    async def slow(scope, receive, send):
        await release.wait()
        await answer(scope, receive, send)

    transport = connect(slow)
    transport.protocol.data_received(WHOLE + HALF_A_LINE)
    assert await outlives(transport, connect)
    release.set()
    await settle()
    assert transport.written.endswith(b"hello")


async def test_a_body_has_no_limit_even_if_its_answer_was_sent(connect):
    transport = connect(answer)
    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n"
    transport.protocol.data_received(head + b"12345")
    await settle()
    transport.protocol.data_received(b"678")
    assert await outlives(transport, connect)


async def test_a_websocket_has_the_limits_of_its_own_class(connect):
    transport = connect(answer)
    transport.protocol.data_received(HANDSHAKE)
    await settle()
    assert transport.written.startswith(b"HTTP/1.1 101 ")
    assert await outlives(transport, connect)


async def test_unfinished_heads_of_an_address_are_bounded(connect, settings, monkeypatch):
    settings.REALTIME = {"CONNECT_SECONDS": 60, "UNAUTHENTICATED_PER_ADDRESS": 3}
    monkeypatch.setattr(request_heads, "UNCOUNTED_SECONDS", 0.01)
    transports = [connect(answer) for _ in range(4)]
    await ended(transports[-1])
    others = transports[:-1]
    assert not any(transport.is_closing() for transport in others)
    others[0].protocol.data_received(WHOLE)
    await settle()
    assert get_node().unauthenticated.count(ADDRESS) == 2, "it is finished now"


async def test_lifespan_replaces_the_class_of_uvicorn():
    for name, own in (("httptools", HttpToolsProtocol), ("h11", H11Protocol)):
        config = uvicorn.Config(lifespan, http=name, ws="none", log_config=None)
        config.load()
        assert config.http_protocol_class is own
        handler = config.lifespan_class(config)
        await handler.startup()
        assert config.http_protocol_class is REPLACEMENTS[own]
        await handler.shutdown()


async def test_lifespan_leaves_the_class_of_a_site(connect):
    class Own(HTTPProtocol):
        pass

    config = uvicorn.Config(lifespan, http=Own, ws="none", log_config=None)
    config.load()
    limit_heads(config)
    assert config.http_protocol_class is Own


def test_uvicorn_takes_the_class_by_its_path():
    config = uvicorn.Config(lifespan, http="realtime.uvicorn:HTTPProtocol", log_config=None)
    config.load()
    assert config.http_protocol_class is HTTPProtocol
