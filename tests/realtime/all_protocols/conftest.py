"""A site with rooms, a client of each protocol, and what must hold after every case."""

import asyncio
import logging

import msgspec
import pytest
from channels.layers import channel_layers
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from rest_framework_simplejwt.tokens import AccessToken

from realtime import sparse_log
from realtime.authentication import Identity, tickets
from realtime.hub.node import close_node, get_node
from realtime.layers.memory import MemoryRoomLayer
from realtime.models import Room
from realtime.rooms import payloads, room_types
from realtime.rooms.publications import ClientInfo, Retention, publication_body
from realtime.transports.polling_sessions import get_sessions
from tests.support.protocol_clients import PROTOCOLS, SECONDS, Credential, Native

PROCESS_GROUPS = ("realtime.control", "realtime.process.")
"""Those that a process is in as long as it lives."""


class Site:
    """The site, its users, and the clients that a case has opened."""

    def __init__(self, kind, layer):
        self.kind = kind
        self.layer = layer
        self.clients = []
        self.secrets = []
        """What must be in no log, and go to no client."""
        self.errors = []
        """What the log may say about errors of the site's own code."""

    def client(self, kind=None):
        client = (kind or self.kind)()
        self.clients.append(client)
        return client

    def token(self, user, **claims):
        token = AccessToken.for_user(user)
        token.payload.update(claims)
        return self.secret(str(token))

    def secret(self, text):
        self.secrets.append(text)
        return text

    def ticket(self, user):
        ticket = self.secret(f"ticket-{len(self.secrets)}-{user.username}")
        self.layer.store_ticket(ticket, tickets.identity_to_ticket(Identity(user)), 30)
        return ticket

    def session(self, user):
        session = SessionStore()
        session["_auth_user_id"] = str(user.pk)
        session["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
        session["_auth_user_hash"] = user.get_session_auth_hash()
        session.save()
        return self.secret(session.session_key)

    def credential(self, user, **claims):
        return Credential.by("header", self.token(user, **claims))

    async def enter(self, user, room="lobby", kind=None):
        """A client that is in a room."""
        return await self.client(kind).enter(self.credential(user), room)

    async def publish(self, user, room, data):
        """Publish in the name of a user, whose own client may not be able to."""
        await self.publish_text(user, room, msgspec.json.encode(data).decode())

    async def publish_text(self, user, room, text):
        """As `publish`, with JSON that is written already."""
        info = msgspec.json.encode(ClientInfo(str(user.pk), "elsewhere"))
        body = publication_body(payloads.checked(text.encode()), info)
        await self.layer.append(room, body, Retention(100, 300))

    async def until(self, condition):
        async with asyncio.timeout(SECONDS):
            while not condition():
                await asyncio.sleep(0.001)

    async def is_left_by(self, client):
        """A client is gone: wait until nothing is left of it."""
        await client.drop()
        self.clients.remove(client)
        await self.until_nothing_left()

    async def until_nothing_left(self, but=()):
        """Wait until the process has only the bystander's session, its room, and nothing of
        others."""
        node = get_node()
        await self.until(lambda: len(node.sessions) == 1 + len(but))
        await self.until(lambda: set(node.hub.rooms) <= {"aside", *but})
        assert len(get_sessions()) == 0
        assert not +node.unauthenticated._waiting


@pytest.fixture(params=PROTOCOLS, ids=lambda kind: kind.name)
def kind(request):
    kind, ability = request.param, getattr(request.function, "ability", "")
    if not kind.has(ability):
        pytest.skip(f"{kind.name}: {kind.lacks[ability]}")
    return kind


@pytest.fixture
def bob(transactional_db):
    return User.objects.create_user("bob", "bob@example.com", "secret")


@pytest.fixture
def alice(transactional_db):
    return User.objects.create_user("alice", "alice@example.com", "secret")


@pytest.fixture
def rooms(transactional_db):
    for name in ("lobby", "aside", "news"):
        Room.objects.create(name=name, access=Room.Access.AUTHENTICATED)
    Room.objects.filter(name="news").update(publishing=Room.Publishing.NOBODY)
    Room.objects.create(name="secret")


@pytest.fixture
def fresh_logs(monkeypatch):
    """No line is left out because there was one like it a moment ago."""
    monkeypatch.setattr(sparse_log, "INTERVAL_SECONDS", 0)


@pytest.fixture
def room_in_code(monkeypatch):
    """`room_in_code(pattern, class)`: for one case."""
    monkeypatch.setattr(room_types, "_types", list(room_types._types))
    return lambda pattern, room_type: room_types.register(pattern)(room_type)


@pytest.fixture
async def site(kind, rooms, alice, bob, monkeypatch, caplog, fresh_logs, settings):
    """After the case: no error in the log, no secret in a log or sent to a client, a bystander who
    gets his messages, and nothing left."""
    caplog.set_level(logging.DEBUG, "realtime")
    settings.REALTIME = {**settings.REALTIME, "PRESENCE_LEAVE_SECONDS": 0}
    layer = MemoryRoomLayer()
    # Not `channel_layers.set`: what it gives back is None if nobody has asked for the layer yet.
    monkeypatch.setitem(channel_layers.backends, "default", layer)
    site = Site(kind, layer)
    bystander = await Native().enter(site.credential(bob), "aside")
    try:
        yield site
        await bystander.publish("aside", "still here")
        assert await bystander.receive("aside") == "still here"
        for client in site.clients:
            await client.drop()
        await site.until_nothing_left()
    finally:
        for client in (*site.clients, bystander):
            await client.drop()
        await close_node()
    left = [name for name in layer._groups if not name.startswith(PROCESS_GROUPS)]
    assert not left, "a group of a room has a member left"
    assert not layer._rooms, "nobody is present"
    records = caplog.get_records("call")
    errors = [each.getMessage() for each in records if each.levelno >= logging.ERROR]
    for error in errors:
        assert any(part in error for part in site.errors), error
    said = "\n".join(each.getMessage() for each in records)
    for secret in site.secrets:
        assert secret not in said, "a secret is in the log"
        for client in site.clients:
            assert secret.encode() not in client.said, "a secret was sent back"
