"""Connections of Daphne over real sockets, on the loop of a test: Twisted's reactor runs only once
in a process."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.tcp import Server as TwistedConnection
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.protocol import OPEN
from websockets.uri import parse_uri

SECONDS = 30


class LoopReactor:
    """What a connection of Twisted asks of its reactor."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()

    def addReader(self, connection):
        self.loop.add_reader(connection.fileno(), self._call, connection.doRead, connection)

    def removeReader(self, connection):
        self.loop.remove_reader(connection.fileno())

    def addWriter(self, connection):
        self.loop.add_writer(connection.fileno(), self._call, connection.doWrite, connection)

    def removeWriter(self, connection):
        self.loop.remove_writer(connection.fileno())

    def callLater(self, seconds, call, *args):
        return self.loop.call_later(seconds, call, *args)

    def _call(self, what, connection):
        if why := what():
            self.removeReader(connection)
            self.removeWriter(connection)
            connection.connectionLost(Failure(why))


def socket_pair():
    """Both ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


def serve(application, **options):
    """A server of Daphne that does not listen."""
    server = Server(application, ["not opened"], **options)
    server.connections = {}
    server.ws_factory = WebSocketFactory(server)
    server.ws_factory.setProtocolOptions(allowNullOrigin=True)
    return server


def accept(server, wrap=lambda connection: connection):
    """Return the client's end of a new connection, and Twisted's."""
    client, accepted = socket_pair()
    factory = HTTPFactory(server)
    protocol = factory.buildProtocol(None)
    port = SimpleNamespace(_realPortNumber=80)
    connection = TwistedConnection(
        accepted, protocol, accepted.getpeername(), port, 0, LoopReactor()
    )
    protocol.makeConnection(wrap(connection))
    return client, connection


class Client:
    """A WebSocket client over a socket."""

    def __init__(self, sock):
        self._sock = sock
        self.received = []

    async def connect(self):
        self._reader, self._writer = await asyncio.open_connection(sock=self._sock)
        self._protocol = ClientProtocol(parse_uri("ws://example.com/ws/?a=1"))
        self._protocol.send_request(self._protocol.connect())
        await self.until(lambda: self._protocol.state is OPEN)
        return self

    def send(self, *texts):
        for text in texts:
            self._protocol.send_text(text.encode())

    def write(self, data):
        self._writer.write(data)

    def close(self, code, reason):
        self._protocol.send_close(code, reason)

    async def abort(self):
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def until(self, condition):
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._writer.write(b"".join(self._protocol.data_to_send()))
                data = await self._reader.read(65_536)
                if data:
                    self._protocol.receive_data(data)
                else:
                    self._protocol.receive_eof()
                for event in self._protocol.events_received():
                    if hasattr(event, "opcode") and event.opcode in (1, 2):
                        self.received.append(event.data.decode())
                assert data or condition()
        self._writer.write(b"".join(self._protocol.data_to_send()))

    async def answer(self):
        await self.until(lambda: self.received)
        return self.received.pop(0)

    async def closed(self):
        await self.until(lambda: self._protocol.close_rcvd is not None)
        return self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason
