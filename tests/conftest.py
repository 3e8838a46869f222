"""Fixtures that several packages share."""

from __future__ import annotations

import contextlib

import hypothesis
import pytest
from channels.exceptions import InvalidChannelLayerError
from channels.layers import channel_layers

from tests.support import processes

pytest_plugins = ["realtime.pytest_plugin"]


# A machine that has other things to do takes longer for one example: no test measures speed.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """The URL of a Redis of our own."""
    port = processes.free_port()
    redis = processes.start_redis(tmp_path_factory.mktemp("redis"), port)
    yield f"redis://127.0.0.1:{port}"
    redis.stop()


@pytest.fixture
def unused_port():
    """A port on which nobody listens."""
    return processes.free_port()


@pytest.fixture(autouse=True)
def layer_of_the_site():
    """Made before the test, so that whoever puts another one in its place can put it back: before
    the first use there is none, and None that is put back stays."""
    with contextlib.suppress(InvalidChannelLayerError):
        channel_layers["default"]


@pytest.fixture(autouse=True)
def fresh_cache():
    """Throttles count in the cache: each test starts with none counted."""
    from django.core.cache import cache

    cache.clear()
