"""Requests whose head does not come to its end, on Daphne."""

import asyncio
import logging

import pytest
from daphne import server as daphne_server
from daphne.http_protocol import HTTPFactory
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web import http

from realtime.hub.node import close_node, get_node
from realtime.transports import daphne_http, request_heads
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
from tests.support.transports import settle


class Transport(StringTransport):
    """Keeps what is written, and ends its protocol as a reactor does."""

    def __init__(self, address):
        super().__init__(peerAddress=address, lenient=True)
        self.ended = asyncio.Event()
        self.protocol = None

    def is_closing(self):
        return self.disconnecting

    def loseConnection(self):
        if not self.disconnecting:
            super().loseConnection()
            self.ended.set()
            self.protocol.connectionLost(Failure(ConnectionDone()))

    abortConnection = loseConnection


@pytest.fixture
async def connect(settings, monkeypatch):
    """`connect(application)`: a transport and its protocol. Heads have 0.05 s from now on."""
    settings.REALTIME = {"CONNECT_SECONDS": 0.05}
    monkeypatch.setattr(HTTPFactory, "protocol", http.HTTPFactory.protocol)
    daphne_http.limit_heads()
    opened, servers = [], []

    def _connect(application=answer, address=None):
        server = daphne_server.Server(application, ["not opened"])
        server.connections = {}
        server.ws_factory = WebSocketFactory(server)
        address = address or IPv4Address("TCP", ADDRESS, 50_000)
        transport = Transport(address)
        transport.protocol = HTTPFactory(server).buildProtocol(address)
        transport.protocol.makeConnection(transport)
        opened.append(transport)
        servers.append(server)
        return transport

    yield _connect
    for transport in opened:
        transport.loseConnection()
    await settle()
    for server in servers:
        for details in server.connections.values():
            if task := details.get("application_instance"):
                task.cancel()
    await settle()
    assert not get_node().unauthenticated.count(ADDRESS)
    await close_node()


@pytest.mark.parametrize(
    "parts",
    [(), (HALF_A_LINE,), (HALF_A_HEAD,), (WHOLE, HALF_A_LINE), (HANDSHAKE[:-2],)],
    ids=["nothing", "half a line", "half a head", "a second one", "half a handshake"],
)
async def test_a_head_that_does_not_end_is_cut_after_connect_seconds(connect, caplog, parts):
    caplog.set_level(logging.INFO, logger="realtime.daphne")
    transport = connect()
    for part in parts:
        transport.protocol.dataReceived(part)
        await settle()
    assert not transport.is_closing()
    await ended(transport)
    assert "not finished in time" in caplog.text


async def test_a_client_that_goes_on_slowly_gets_no_more_time(connect):
    transport = connect()
    for number in range(1_000):
        transport.protocol.dataReceived(b"X-%d: 1\r\n" % number if number else HALF_A_HEAD)
        await asyncio.sleep(0.001)
        if transport.is_closing():
            assert not transport.value()
            return
    pytest.fail("it was not cut")


async def test_a_finished_head_has_its_answer_and_no_limit(connect):
    transport = connect()
    for part in (HALF_A_LINE[:5], HALF_A_HEAD[5:], REST):
        transport.protocol.dataReceived(part)
    await settle()
    assert transport.value().endswith(b"hello")
    assert await outlives(transport, connect), "Twisted's own limit holds between two requests"
    transport.protocol.dataReceived(WHOLE)
    await settle()
    assert transport.value().count(b"hello") == 2


async def test_an_empty_line_after_a_request_begins_no_other(connect):
    """Old browsers send one."""
    transport = connect()
    transport.protocol.dataReceived(WHOLE)
    await settle()
    transport.protocol.dataReceived(b"\r\n")
    assert await outlives(transport, connect)


async def test_a_request_that_is_refused_at_once_ends_its_time(connect):
    transport = connect()
    transport.protocol.dataReceived(HALF_A_HEAD + b"1\r\nno-header\r\n\r\n")
    assert b" 400 Bad Request" in transport.value()
    await ended(transport)


async def test_a_request_that_is_being_answered_has_no_limit(connect):
    release = asyncio.Event()

    async def slow(scope, receive, send):
        await release.wait()
        await answer(scope, receive, send)

    transport = connect(slow)
    transport.protocol.dataReceived(WHOLE + HALF_A_LINE)
    assert await outlives(transport, connect)
    release.set()
    await settle()
    assert transport.value().endswith(b"hello")
    await ended(transport)  # the second one has its own time


async def test_a_body_has_no_limit(connect):
    transport = connect()
    transport.protocol.dataReceived(
        b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n12345"
    )
    transport.protocol.dataReceived(b"678")
    assert await outlives(transport, connect)
    transport.protocol.dataReceived(b"90")
    await settle()
    assert transport.value().endswith(b"hello")


async def test_an_accepted_websocket_has_no_limit(connect):
    transport = connect()
    transport.protocol.dataReceived(HANDSHAKE)
    await settle()
    assert transport.value().startswith(b"HTTP/1.1 101 ")
    assert await outlives(transport, connect)


async def test_unfinished_heads_of_an_address_are_bounded(connect, settings, monkeypatch):
    settings.REALTIME = {"CONNECT_SECONDS": 60, "UNAUTHENTICATED_PER_ADDRESS": 3}
    monkeypatch.setattr(request_heads, "UNCOUNTED_SECONDS", 0.01)
    transports = [connect() for _ in range(4)]
    await ended(transports[-1])
    others = transports[:-1]
    assert not any(transport.is_closing() for transport in others)
    others[0].protocol.dataReceived(WHOLE)
    await settle()
    assert get_node().unauthenticated.count(ADDRESS) == 2, "it is finished now"


async def test_a_unix_socket_has_no_address_and_a_limit(connect):
    transport = connect(address=UNIXAddress(None))
    await ended(transport)


def test_a_factory_of_the_site_and_one_without_the_names_stay(monkeypatch):
    own = object()
    monkeypatch.setattr(HTTPFactory, "protocol", own)
    daphne_http.limit_heads()
    assert HTTPFactory.protocol is own
    monkeypatch.setattr(http, "_genericHTTPChannelProtocolFactory", None)
    monkeypatch.setattr(HTTPFactory, "protocol", None)
    daphne_http.limit_heads()
    assert HTTPFactory.protocol is None


def test_the_limit_is_there_as_soon_as_the_routing_is_imported():
    import realtime.routing  # noqa: F401

    channel = HTTPFactory.protocol(None)._channel
    assert isinstance(channel, daphne_http.LimitsHeads)
