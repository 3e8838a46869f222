"""The tables of the models that broadcast, and what they have sent."""

import msgspec
import pytest
from channels.layers import channel_layers

from realtime import rooms
from realtime.exceptions import LayerUnavailable
from realtime.layers.memory import MemoryRoomLayer
from realtime.rooms import room_types
from tests.support import shop


class RecordingLayer(MemoryRoomLayer):
    """Keeps what it sends: (room, data), in order."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.is_away = False
        self.tried = 0

    def append_sync(self, room, body, *args):
        self.tried += 1
        if self.is_away:
            raise LayerUnavailable("Redis does not answer")
        self.sent.append((room, msgspec.json.decode(body)["data"]))
        return super().append_sync(room, body, *args)


@pytest.fixture(autouse=True)
def any_room():
    """Every name is that of a room."""

    @rooms.register("<path:name>")
    class AnyRoom(rooms.RoomType):
        pass

    yield
    room_types._types.pop()


@pytest.fixture
def layer(transactional_db):
    before = channel_layers.set("default", RecordingLayer())
    with shop.tables():
        yield channel_layers["default"]
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
def take(layer):
    """`take()` returns what was sent since the last time."""

    def _take():
        taken, layer.sent[:] = list(layer.sent), []
        return taken

    return _take


@pytest.fixture
def events(take):
    """`events()`: as `take`, the room and the event alone."""
    return lambda: [(room, data["event"]) for room, data in take()]
