"""The fixture of pytest."""

import subprocess
import sys

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from realtime import publish
from realtime.layers import get_layer
from realtime.models import Room
from realtime.testing import Closed, realtime_of_test
from realtime.testing.layer import TestLayer


@pytest.fixture
def alice():
    return User.objects.create_user("alice", password="secret")


@pytest.fixture
def lobby():
    return Room.objects.create(name="lobby", access=Room.Access.AUTHENTICATED)


@pytest.mark.django_db
def test_in_a_transaction(realtime, alice, lobby):
    with realtime.client(alice) as client:
        client.join("lobby")
        publish("lobby", 1)
        assert client.receive() == 1
    realtime.assert_published("lobby", 1, times=1)


@pytest.mark.django_db(transaction=True)
def test_with_real_commits(realtime, alice, lobby):
    with realtime.client(alice) as client:
        client.join("lobby")
        publish("lobby", 1)
        assert client.receive() == 1


@pytest.mark.django_db(transaction=True)
async def test_with_coroutines(realtime):
    alice = await User.objects.acreate(username="alice")
    await Room.objects.acreate(name="lobby", access=Room.Access.AUTHENTICATED)
    async with realtime.aclient(alice) as client:
        await client.join("lobby")
        await sync_to_async(publish)("lobby", 1)
        assert await client.receive() == 1


@pytest.mark.django_db
def test_what_was_published_before_is_not_there(realtime):
    assert realtime.published == []


@pytest.mark.parametrize("is_made", [True, False])
def test_the_site_has_its_own_layer_again(settings, is_made):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
    before = get_layer() if is_made else None
    with realtime_of_test():
        assert isinstance(get_layer(), TestLayer)
    assert not isinstance(get_layer(), TestLayer)
    assert before in (None, get_layer())


def test_nobody_is_refused_without_a_database(realtime):
    with pytest.raises(Closed) as closed:
        realtime.client().connect()
    assert closed.value.code == 3500


def test_the_failures_say_what_was_published(realtime):
    realtime._layer.append_sync("lobby", b'{"data":{"a":1}}')
    with pytest.raises(AssertionError, match=r"lobby: \{'a': 1\}"):
        realtime.assert_published("lobby", {"a": 2})
    with pytest.raises(AssertionError, match=r"2 time\(s\), but 1 time\(s\)"):
        realtime.assert_published("lobby", {"a": 1}, times=2)
    with pytest.raises(AssertionError, match="should have been published"):
        realtime.assert_not_published("lobby")
    realtime.clear()
    realtime.assert_not_published("lobby")


def test_a_message_with_the_key_of_another_is_none(realtime):
    for _ in range(2):
        realtime._layer.append_sync("lobby", b'{"data":1}', once="key")
    realtime.assert_published("lobby", 1, times=1)


def test_all_that_needs_redis_is_away_with_it():
    """What a new method of the layer needs has to be decided."""
    from realtime.layers.base import RoomLayer
    from realtime.testing.layer import _NEED_REDIS

    without = {
        *("new_channel", "group_discard", "receive", "on_message", "on_reconnect"),
        *("append", "append_soon", "append_sync", "append_all_sync"),
    }
    methods = {name for name in dir(RoomLayer) if not name.startswith("_")}
    assert methods == without | set(_NEED_REDIS)
    assert issubclass(TestLayer, RoomLayer)


def test_the_plugin_imports_nothing_of_django():
    """pytest loads it before Django has its settings."""
    code = "import sys, realtime.pytest_plugin as _; assert 'django' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
