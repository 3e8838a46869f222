"""The check of the channel layer."""

import pytest

from realtime import checks
from tests.support.checking import ids


@pytest.mark.parametrize(
    "layers", [{}, {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}]
)
def test_a_layer_that_knows_no_rooms_is_an_error(settings, layers):
    settings.CHANNEL_LAYERS = layers
    assert ids(checks.check_layer()) == ["realtime.E006"]


def test_the_layer_of_channels_redis_keeps_its_hosts(settings):
    backend = "channels_redis.core.RedisChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": []}}}
    assert "hosts and prefix stay" in checks.check_layer()[0].hint
    settings.CHANNEL_LAYERS = {}
    assert "realtime init" in checks.check_layer()[0].hint


def test_hosts_that_are_no_list_are_reported_with_the_cure(settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "realtime.layers.redis.RedisRoomLayer",
            "CONFIG": {"hosts": "redis://127.0.0.1:6379"},
        }
    }
    (message,) = checks.check_layer()
    assert message.id == "realtime.E006"
    assert "iterable" in message.msg or "list" in message.msg
    assert '"hosts": ["redis://' in message.hint


def test_hosts_for_the_layer_of_one_process_are_reported_with_the_cure(settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "realtime.layers.memory.MemoryRoomLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:6379"]},
        }
    }
    (message,) = checks.check_layer()
    assert message.id == "realtime.E006"
    assert "RedisRoomLayer" in message.hint and "remove CONFIG" in message.hint


@pytest.mark.parametrize(
    ("key", "hint"), [("host", "Did you mean 'hosts'?"), ("db", "Known keys: hosts, prefix, ")]
)
def test_an_option_that_the_layer_would_leave_unread_is_an_error(settings, key, hint):
    backend = "realtime.layers.redis.RedisRoomLayer"
    config = {"prefix": "shop", "capacity": 100, key: "redis://127.0.0.1:6379"}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": config}}
    (message,) = checks.check_layer()
    assert message.id == "realtime.E006"
    assert f"unknown key {key!r}" in message.msg and message.hint.startswith(hint)
