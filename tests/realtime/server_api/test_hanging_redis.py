"""A Redis that hangs delays a request once, however much it saves and publishes."""

import uuid

import pytest
from channels.layers import channel_layers
from django.db import transaction

from realtime import disconnect, notify, publish, recheck
from realtime.control.announcements import _announcer
from realtime.exceptions import LayerUnavailable
from realtime.layers.redis import RedisRoomLayer, breaker, clients
from realtime.models import Membership, Room
from realtime.signals import publish_failed
from tests.support.faults import FaultProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proxy(redis_server):
    proxy = FaultProxy(int(redis_server.rpartition(":")[2]))
    yield proxy
    proxy.heal()
    proxy.stop()


@pytest.fixture
def attempts(proxy, lobby, monkeypatch):
    """The calls that reach a Redis, which hangs from now on."""
    layer = RedisRoomLayer(
        hosts=[f"redis://127.0.0.1:{proxy.port}"], prefix=f"test-{uuid.uuid4().hex[:8]}"
    )
    before = channel_layers.set("default", layer)
    publish("lobby", "a first one, so that the connection is open")
    proxy.swallow()
    made = []
    original = clients._attempt

    def attempt(client, work, host):
        made.append(1)
        return original(client, work, host)

    monkeypatch.setattr(clients, "_attempt", attempt)
    yield made
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.01)
    proxy.heal()
    _announcer.join()
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
def failures():
    heard = []

    def receive(room, **kwargs):
        heard.append(room)

    publish_failed.connect(receive)
    yield heard
    publish_failed.disconnect(receive)


def view(user):
    """What a view of a site may do."""
    for number in range(50):
        room = Room.objects.create(name=f"room-{number}")
        Membership.objects.create(room=room, user=user)
        publish("lobby", number, on_error="log")
    disconnect(user)
    notify("text", user)
    recheck(user)


def test_a_view_in_one_transaction(attempts, failures, alice):
    with transaction.atomic():
        view(alice)
    # Two if the thread that announces got no turn within the second that it is waited for.
    assert 1 <= len(attempts) <= 2
    assert len(failures) == 50
    assert Room.objects.count() == 51


def test_a_view_that_commits_each_row(attempts, failures, alice):
    with pytest.raises(LayerUnavailable):
        view(alice)
    assert len(attempts) == 1
    assert len(failures) == 50
    assert Room.objects.count() == 51
    for order in (disconnect, recheck):
        with pytest.raises(LayerUnavailable):
            order(alice)
    assert len(attempts) == 1


def test_a_view_that_publishes_first(attempts, failures, alice):
    with transaction.atomic():
        for number in range(50):
            publish("lobby", number)
    Membership.objects.create(room=Room.objects.get(), user=alice)
    assert len(attempts) == 1
    assert len(failures) == 50
