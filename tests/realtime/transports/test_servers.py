"""What is asked of a server beyond ASGI, for the response to a request."""

import socket
from functools import partial

import pytest

from realtime.transports import servers


class Connection:
    """A connection of the event loop, as uvicorn has it."""

    def __init__(self, sock):
        self._sock = sock
        self.is_aborted = False

    def get_extra_info(self, name):
        return self._sock if name == "socket" else None

    def abort(self):
        self.is_aborted = True


class TwistedConnection:
    """A connection of Twisted, as Daphne has it."""

    def __init__(self, sock):
        self._sock = sock
        self.is_aborted = False

    def getHandle(self):
        return self._sock

    def abortConnection(self):
        self.is_aborted = True


class Server:
    def __init__(self, transport):
        self.transport = transport

    async def send(self, event):
        pass


async def send_of_daphne(protocol, event):
    pass


@pytest.fixture(params=["uvicorn", "daphne"])
def connected(request):
    """The `send` of a server, and its connection."""
    sock = socket.socket()
    if request.param == "uvicorn":
        connection = Connection(sock)
        yield Server(connection).send, connection, sock
    else:
        connection = TwistedConnection(sock)
        yield partial(send_of_daphne, Server(connection)), connection, sock
    sock.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has it")
def test_a_host_that_confirms_nothing_is_noticed_by_the_system(connected):
    send, _, sock = connected
    servers.limit_silence(send, 33.5)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 33_500


def test_a_connection_is_cut(connected):
    send, connection, _ = connected
    servers.cut(send)
    assert connection.is_aborted


def test_other_servers_and_sockets_are_left_alone():
    async def send(event):
        pass

    for odd in (send, Server(None).send, Server(Connection(None)).send):
        servers.limit_silence(odd, 1)
        servers.cut(odd)
    ours, theirs = socket.socketpair()
    servers.limit_silence(Server(Connection(ours)).send, 1)  # a Unix socket has no such option
    ours.close()
    theirs.close()
