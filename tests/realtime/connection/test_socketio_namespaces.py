"""Several namespaces of one connection of Socket.IO: sessions that end alone, or together."""

import asyncio
import json

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime import apublish
from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.connection.inbox import Inbox
from realtime.connection.socketio_namespaces import Namespaces
from realtime.hub.node import close_node, get_node
from realtime.protocols.frames import messages_of
from tests.support.races import bob, save

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def of_the_site(settings):
    events, names = {"chat message": "lobby"}, ["/shop", "/blog"]
    settings.REALTIME = {
        **settings.REALTIME,
        "SOCKETIO_EVENTS": events,
        "SOCKETIO_NAMESPACES": names,
    }


class Wire:
    """A sink that keeps what is written."""

    def __init__(self):
        self.messages, self.closed = [], None

    def write_frame(self, frame):
        self.messages += messages_of(frame)
        return True

    def write_close(self, code, reason):
        self.closed = code
        return True

    def held_bytes(self):
        return 0

    async def send(self, message):
        raise NotImplementedError

    async def until(self, begin):
        """Wait for a text that begins so."""
        async with asyncio.timeout(60):
            while not self.texts(begin):
                await asyncio.sleep(0.01)

    def texts(self, begin):
        return [text for text in self.messages if isinstance(text, str) and text.startswith(begin)]


class Client:
    def __init__(self, identity):
        self.wire = Wire()
        scope = {"identity": identity, "authentication_error": None, "client": ("127.0.0.1", 1)}
        self.namespaces = Namespaces(scope, self.wire)
        self.inbox = Inbox(self.namespaces, on_end=self.namespaces.end)
        self.namespaces.session.open()

    async def send(self, message):
        self.inbox.receive(message)
        if self.inbox._handling is not None:
            await self.inbox._handling

    async def connect(self, *names):
        for name in names:
            await self.send(f"40{name}{',' if name else ''}" + "{}")

    def session(self, name="/"):
        return self.namespaces._several[name].session


@pytest.fixture
async def sessions():
    """All of the process."""
    yield get_node().sessions
    await close_node()


@pytest.fixture
async def connect(sessions, alice, lobby):
    """`client = await connect("", "/shop")`: alice, in these namespaces."""
    clients = []

    async def _connect(*names):
        clients.append(Client(Identity(alice)))
        await clients[-1].connect(*names)
        return clients[-1]

    yield _connect
    for client in clients:
        client.inbox.end()
    assert not sessions


async def test_one_namespace_costs_no_look_at_what_comes(connect):
    client = await connect("")
    assert client.namespaces._several is None
    await client.send('421["leave","lobby"]')
    assert client.wire.texts("431") == ["431[{}]"]
    assert client.namespaces._several is None


async def test_each_has_its_own_id_rooms_and_events(connect, sessions):
    client = await connect("", "/shop")
    ids = [json.loads(text[text.index("{") :])["sid"] for text in client.wire.texts("40")]
    assert len(set(ids)) == 2 and len(sessions) == 2
    await client.send('42/shop,7["leave","lobby"]')
    assert client.wire.texts("43") == ["43/shop,7[{}]"]
    await apublish("lobby", {"event": "x", "args": []})
    await client.wire.until('42["x"')
    assert client.wire.texts('42/shop,["x"') == []


@pytest.mark.parametrize("gone", ["/", "/shop"])
async def test_one_that_its_client_leaves_leaves_the_other_alone(connect, gone, sessions):
    client = await connect("", "/shop")
    stays = "/shop" if gone == "/" else "/"
    await client.send("41" if gone == "/" else "41/shop,")
    assert client.wire.closed is None and list(client.namespaces._several) == [stays]
    await apublish("lobby", {"event": "x", "args": []})
    await client.wire.until('42/shop,["x"' if stays == "/shop" else '42["x"')
    await client.connect("" if gone == "/" else "/shop")
    assert len(client.namespaces._several) == 2 and len(sessions) == 2


@pytest.mark.parametrize("gone", ["/", "/shop"])
async def test_whoever_pings_is_replaced(connect, gone):
    client = await connect("", "/shop")
    assert client.namespaces._pinging is client.session("/")
    await client.send("41" if gone == "/" else "41/shop,")
    (left,) = client.namespaces._several.values()
    assert client.namespaces._pinging is left.session
    assert left.session.timers._ping is not None and not left.session.timers._ping.cancelled()
    left.session.send_ping()
    await client.send("3")
    assert left.session.timers._pong is None


async def test_a_user_who_is_deactivated_loses_one_namespace(connect, alice):
    """The other one has a user of its own."""
    client = await connect("", "/shop")
    other = await bob()
    client.session("/shop").identity = Identity(other)
    client.session("/").close(CloseCode.INVALID_TOKEN, "gone")
    assert client.wire.texts("41") == ["41"]
    assert client.wire.closed is None and not client.session("/shop").is_closed
    client.session("/shop").close(CloseCode.INVALID_TOKEN, "gone")
    assert client.wire.texts("41/shop,") and client.wire.closed == CloseCode.INVALID_TOKEN


async def test_a_deactivated_user_loses_all(connect, alice):
    client = await connect("", "/shop")
    both = [client.session("/"), client.session("/shop")]
    user = await User.objects.aget(pk=alice.pk)
    await sync_to_async(save)(user, is_active=False)
    async with asyncio.timeout(60):
        while not all(session.is_closed for session in both):
            await asyncio.sleep(0.01)
    assert client.wire.closed == CloseCode.INVALID_TOKEN


async def test_what_a_client_comes_back_from_ends_all(connect):
    client = await connect("", "/shop")
    client.session("/shop").close(CloseCode.SHUTDOWN)
    assert client.wire.closed == CloseCode.SHUTDOWN
    assert not client.namespaces._alive()
    assert client.wire.texts("41") == [], "the client library would stay away"


async def test_a_reader_that_is_too_slow_is_one_connection(connect):
    client = await connect("", "/shop")
    client.namespaces.outbox.on_overflow()
    assert client.wire.closed == CloseCode.SLOW and not client.namespaces._alive()


async def test_a_refused_namespace_leaves_the_others_alone(connect):
    client = await connect("", "/shop", "/nowhere")
    assert (
        json.loads(client.wire.texts("44/nowhere,")[0][len("44/nowhere,") :])["message"]
        == "Invalid namespace"
    )
    await client.send('40/blog,{"token":"x.y.z"}')
    assert len(client.wire.texts("44/blog,")) == 1
    assert client.wire.closed is None
    assert not client.session("/").is_closed and not client.session("/shop").is_closed
    await client.send("40/blog,{}")
    assert len(client.wire.texts("40/blog,{")) == 1


async def test_a_thousand_namespaces_are_those_of_the_site(connect, sessions):
    client = await connect("", "/shop")
    for number in range(300):
        await client.connect(f"/n{number}")
    assert len(sessions) == 2


@pytest.mark.parametrize(
    "messages",
    [
        ['42/blog,["leave","lobby"]'],  # not connected to it
        ["41/shop,", '42/shop,["leave","lobby"]'],  # has left it
        ["9"],
        ["4x"],
        ['451-/shop,["a",{"_placeholder":true,"num":0}]', '42["b"]'],  # attachments are missing
    ],
)
async def test_what_socketio_refuses_ends_the_connection(connect, messages):
    client = await connect("", "/shop")
    for message in messages:
        await client.send(message)
    assert client.wire.closed == CloseCode.BAD_REQUEST and not client.namespaces._alive()


async def test_attachments_go_where_their_packet_went(connect):
    client = await connect("", "/shop")
    await client.send('451-/shop,3["publish","lobby",{"_placeholder":true,"num":0}]')
    await client.send(b"\x01\x02")
    await client.wire.until("43/shop,3[{}]")


async def test_connecting_twice_ends_that_namespace(connect):
    client = await connect("", "/shop", "/shop")
    assert client.wire.closed is None and list(client.namespaces._several) == ["/"]


async def test_a_connection_that_ends_leaves_nothing_behind(connect, sessions):
    client = await connect("", "/shop", "/blog")
    assert len(sessions) == 3
    client.inbox.end()
    assert not sessions and not client.namespaces._alive()
