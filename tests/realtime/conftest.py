"""Users, rooms and sessions that the tests of the app share."""

import uuid
from contextlib import contextmanager

import pytest
from django.contrib.auth.models import User
from django.db.backends.utils import CursorWrapper

from realtime import user_models
from realtime.authentication import Identity, signing_keys, users
from realtime.concurrency import pools, threads
from realtime.connection.session import Session
from realtime.hub.node import Node
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.redis import RedisRoomLayer
from realtime.models import Room
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.rights import backend, grants, own_rules
from tests.support.sessions import RecordingTransport, call


@pytest.fixture(autouse=True)
def nothing_known():
    """Clear the caches of users and rights: each test has another database. Clear the logs that say
    a thing only once a minute, too."""
    users._known.clear()
    grants._known.clear()
    for logs in (
        *(backend._failures, grants._failures, own_rules._failures, user_models._failures),
        *(pools._lost_threads, threads._late_coroutines, signing_keys._unread),
    ):
        logs._of_kind.clear()


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
    """The layer of the hub; tests of both layers override it."""
    return MemoryRoomLayer()


@pytest.fixture
async def node(hub_layer):
    node = Node(hub_layer)
    yield node
    await node.close()


@pytest.fixture
async def open_session(node):
    opened = []

    def _open(identity=None, **options):
        session = Session(
            transport=RecordingTransport(),
            protocol=CentrifugeProtocol(),
            node=node,
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


@pytest.fixture
def count_queries(monkeypatch):
    """`with count_queries() as queries:` lists what is asked of the database, in any thread."""

    @contextmanager
    def _count():
        queries = []

        def execute(cursor, sql, params=None):
            # What Django says to a new connection of MariaDB, as there is one in each thread.
            if not sql.startswith("SET SESSION") and "VERSION()" not in sql:
                queries.append(sql)
            return original(cursor, sql, params)

        original = CursorWrapper.execute
        with monkeypatch.context() as patch:
            patch.setattr(CursorWrapper, "execute", execute)
            yield queries

    return _count
