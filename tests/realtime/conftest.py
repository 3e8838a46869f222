"""Users, rooms and sessions that the tests of the app share."""

import uuid

import pytest
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.hub import Hub
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.redis import RedisRoomLayer
from realtime.models import Room
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.session import Session
from tests.realtime.sessions import RecordingTransport, call


@pytest.fixture
def alice():
    return User.objects.create_user("alice", "alice@example.com", "secret")


@pytest.fixture
def lobby():
    return Room.objects.create(name="lobby", access=Room.Access.AUTHENTICATED)


@pytest.fixture(params=["memory", "redis"])
async def either_layer(request):
    """Each of the two layers, empty."""
    if request.param == "memory":
        yield MemoryRoomLayer()
        return
    layer = RedisRoomLayer(
        hosts=[request.getfixturevalue("redis_server")], prefix=f"test-{uuid.uuid4().hex[:8]}"
    )
    yield layer
    await layer.flush()


@pytest.fixture
def hub_layer():
    """What the hub is built on; tests that hold for both layers override it."""
    return MemoryRoomLayer()


@pytest.fixture
async def hub(hub_layer):
    hub = Hub(hub_layer)
    yield hub
    await hub.close()


@pytest.fixture
async def open_session(hub):
    opened = []

    def _open(identity=None, **options):
        session = Session(
            transport=RecordingTransport(),
            protocol=CentrifugeProtocol(),
            hub=hub,
            identity=identity,
            **options,
        )
        session.open()
        opened.append(session)
        return session

    yield _open
    for session in opened:
        session.end()


@pytest.fixture
async def connected(open_session, alice):
    session = open_session(Identity(alice))
    await call(session, connect={})
    return session
