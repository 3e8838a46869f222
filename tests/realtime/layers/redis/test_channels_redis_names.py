"""The insides of channels_redis that `channel_layer` uses: a release may drop each of them."""

import ast
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from channels_redis import pubsub, utils

import realtime
from realtime.layers.redis import channel_layer

PACKAGE = Path(realtime.__file__).parent
USER = Path(channel_layer.__file__).relative_to(PACKAGE.parent)


def site_layer():
    return pubsub.RedisPubSubChannelLayer()


def loop_layer():
    return pubsub.RedisPubSubLoopLayer(channel_layer=site_layer())


NAMES = [
    (lambda: utils, "_wrap_close", "closes the connections of an event loop with the loop"),
    (lambda: utils, "decode_hosts", "reads the option `hosts`"),
    (lambda: pubsub, "RedisPubSubLoopLayer", "is the parent of LoopGroups"),
    (site_layer, "_layers", "holds one LoopGroups for each event loop"),
    (site_layer, "_get_layer", "is overridden to return a LoopGroups"),
    (site_layer, "_serializer", "is given to the codec"),
    (lambda: site_layer()._serializer, "crypter", "says whether publications are encrypted"),
    (loop_layer, "_shards", "is replaced by our shards, which `flush` then closes"),
    (loop_layer, "_get_shard", "is overridden to choose one of our shards"),
    (loop_layer, "_get_group_channel_name", "is overridden to use our names of channels"),
    (loop_layer, "_subscribe_to_channel", "is extended to forget a channel that failed"),
    (loop_layer, "channels", "holds the queue of each channel"),
    (loop_layer, "groups", "holds the members of each group by its name in Redis"),
    (loop_layer, "prefix", "begins the names of channels"),
    (loop_layer, "new_channel", "is called for RedisGroups.new_channel"),
    (loop_layer, "receive", "is called for RedisGroups.receive"),
    (loop_layer, "group_add", "is called for RedisGroups.group_add"),
    (loop_layer, "group_discard", "is called for RedisGroups.group_discard"),
    (loop_layer, "group_send", "is called for RedisGroups.group_send"),
    (loop_layer, "flush", "is extended to forget callbacks"),
]


@pytest.mark.parametrize(("owner", "name", "use"), NAMES, ids=[name for _, name, _ in NAMES])
def test_channels_redis_has_it(owner, name, use):
    found = owner()
    # The class of the site's layer looks up what it does not know: ask only for what it has.
    assert name in vars(found) or hasattr(type(found), name), (
        f"channels_redis {version('channels_redis')}: {found!r} has no {name} any more. "
        f"In {USER}, {name} {use}."
    )


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        ("__getattr__", "_get_layer"),
        ("__init__", "_serializer"),
        ("serialize", "_serializer"),
        ("deserialize", "_serializer"),
    ],
)
def test_the_layer_of_the_site_still_uses_it(caller, name):
    source = inspect.getsource(getattr(pubsub.RedisPubSubChannelLayer, caller))
    assert name in source, (
        f"channels_redis {version('channels_redis')}: RedisPubSubChannelLayer.{caller} does not "
        f"use {name} any more, which {USER} relies on."
    )


@pytest.mark.parametrize(
    ("caller", "names"),
    [
        ("send", ["_get_shard", "publish"]),
        ("group_send", ["_get_shard", "_get_group_channel_name", "publish"]),
        ("group_add", ["_get_shard", "_get_group_channel_name", "subscribe", "groups"]),
        ("group_discard", ["_get_shard", "_get_group_channel_name", "unsubscribe", "groups"]),
        ("new_channel", ["_subscribe_to_channel"]),
        (
            "receive",
            [
                *["_subscribe_to_channel", "_get_shard", "unsubscribe", "channels"],
                "channel_layer.deserialize",
            ],
        ),
        ("flush", ["_shards", "flush"]),
    ],
)
def test_a_layer_of_a_loop_still_uses_what_we_replace(caller, names):
    source = inspect.getsource(getattr(pubsub.RedisPubSubLoopLayer, caller))
    missing = [name for name in names if name not in source]
    assert not missing, (
        f"channels_redis {version('channels_redis')}: RedisPubSubLoopLayer.{caller} does not use "
        f"{', '.join(missing)} any more, which {USER} replaces by its own."
    )


def test_no_other_module_imports_channels_redis():
    users = {
        path.relative_to(PACKAGE.parent)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if any(name.startswith("channels_redis") for name in imported(node))
    }
    assert users == {USER}


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
