"""Templates in memory, and a layer that keeps what it sends."""

import msgspec
import pytest
from channels.layers import channel_layers

from realtime import rooms
from realtime.layers.memory import MemoryRoomLayer
from realtime.rooms import room_types

TEMPLATES = {
    "stock.html": "{{ name }}: {{ stock }}",
    "user.html": "{{ user }}{{ request }}{% csrf_token %}",
    "words.html": "{{ when|date:'l H' }}",
    "sets.html": "{% now 'Y' as name %}{{ name }}",
}


@pytest.fixture(autouse=True)
def any_room():
    """Every name is that of a room."""

    @rooms.register("<path:name>")
    class AnyRoom(rooms.RoomType):
        pass

    yield
    room_types._types.pop()


@pytest.fixture(autouse=True)
def templates(settings):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", TEMPLATES)],
                "context_processors": ["django.template.context_processors.request"],
            },
        }
    ]


@pytest.fixture
def layer():
    """The site's layer; `layer.sent` are the room and body of each publication."""

    class RecordingLayer(MemoryRoomLayer):
        sent = []

        def append_sync(self, room, body, *args):
            self.sent.append((room, msgspec.json.decode(body)))
            return super().append_sync(room, body, *args)

    before = channel_layers.set("default", RecordingLayer())
    yield channel_layers["default"]
    channel_layers.backends = {} if before is None else {"default": before}
