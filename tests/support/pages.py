"""Helpers for tests of the console: its pages, its actions and their results."""

import re
from contextlib import contextmanager
from html import unescape

import pytest
from channels.layers import channel_layers
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages

from realtime.exceptions import LayerUnavailable
from realtime.layers.memory import MemoryRoomLayer

LIST = "/admin/realtime/connection/"
EXPLAIN = "/admin/realtime/room/explain/"
HOSTILE = "<script>alert(1)</script>"
NEEDS = {
    "disconnect": "disconnect_connection",
    "mute": "moderate_room",
    "remove": "moderate_room",
    "notify": "notify_connection",
}
FIELDS = {
    "disconnect": {},
    "mute": {"room": "lobby"},
    "remove": {"room": "lobby", "how": "now"},
    "notify": {"text": "Maintenance at six."},
}
each_action = pytest.mark.parametrize("action", NEEDS)


class Layer(MemoryRoomLayer):
    """Keeps the control messages. A connection that is asked to close is gone at once."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.reads = 0
        self.is_away = False

    def live_processes_sync(self):
        self.reads += 1
        if self.is_away:
            raise LayerUnavailable("Redis does not answer")
        return super().live_processes_sync()

    def group_send_sync(self, group, message):
        if self.is_away:
            raise LayerUnavailable("Redis does not answer")
        self.told.append(message)
        if message["type"] == "realtime.removal" and not message["room"]:
            self.end(message["client"])

    def end(self, client):
        for connections in self._connections.values():
            connections.pop(client, None)

    def of_type(self, type):
        return [message for message in self.told if message["type"] == type]


@contextmanager
def layer_of_the_site(layer):
    before = channel_layers.backends
    channel_layers.backends = {"default": layer}
    yield
    channel_layers.backends = before


def text_of(response):
    """The visible text of a page."""
    body = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def rows_of(response):
    return [row.pk for row in response.context["cl"].result_list]


def confirm(client, action, *clients, **fields):
    data = {"clients": " ".join(clients), "confirmed": "yes", **FIELDS[action], **fields}
    return client.post(f"{LIST}{action}/", data)


def said(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def logged():
    """The entries of the admin's log, the oldest first: actor, model, object and message."""
    entries = LogEntry.objects.order_by("pk")
    return [
        (
            entry.user.username,
            entry.content_type.model,
            entry.object_repr,
            entry.get_change_message(),
        )
        for entry in entries
    ]
