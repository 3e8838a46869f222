"""The edge: which connections are taken over from the server."""

import pytest

from realtime.consumers import PlainConsumer, RealtimeConsumer


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


def test_the_plain_protocol_needs_the_pings_of_the_server():
    server = Server()
    assert PlainConsumer().take_over(server.receive, server.send) is None
