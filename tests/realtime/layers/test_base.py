"""The contract of a room layer: each layer has all parts of it."""

import pytest

from realtime.layers import base
from realtime.layers.base import RoomLayer
from realtime.layers.memory import MemoryRoomLayer
from realtime.layers.redis import RedisRoomLayer

PARTS = [
    base.Groups,
    base.Streams,
    base.Presence,
    base.Connections,
    base.Tickets,
    base.Changes,
    base.Usage,
]


def methods(protocol):
    return {name for name, value in vars(protocol).items() if callable(value) and name[0] != "_"}


async def test_it_is_a_room_layer(layer):
    assert isinstance(layer, RoomLayer)


def test_no_two_parts_share_a_method():
    names = [name for part in PARTS for name in methods(part)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", [MemoryRoomLayer, RedisRoomLayer])
@pytest.mark.parametrize("part", PARTS)
def test_a_layer_has_the_methods_of_each_part(kind, part):
    assert methods(part) <= set(dir(kind))
