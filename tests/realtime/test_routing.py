"""Where the sockets are, and how they stand beside other consumers of a site."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import path, re_path

from realtime.hub.node import close_node
from realtime.middleware import JWTAuthMiddleware
from realtime.routing import not_found, websocket_urlpatterns

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("configured", "sockets"),
    [
        ("ws/", ["/ws/"]),
        ("live/ws/", ["/live/ws/", "/app/live/ws/"]),
        ("/live", ["/live/"]),
        ("", ["/"]),
    ],
)
def test_the_sockets_are_at_a_path_of_the_site_s_choice(configured, sockets):
    code = f"""
import asyncio, django
from django.conf import settings
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], REALTIME={{"PATH": {configured!r}}},
    INSTALLED_APPS=["realtime", "django.contrib.auth", "django.contrib.contenttypes"],
    CHANNEL_LAYERS={{"default": {{"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}}},
)
django.setup()
from realtime.routing import websocket_application

async def first(path, root_path=""):
    events = [{{"type": "websocket.connect"}}, {{"type": "websocket.disconnect", "code": 1000}}]
    sent = []
    async def receive(): return events.pop(0)
    async def send(event): sent.append(event["type"])
    scope = {{"type": "websocket", "path": path, "headers": [(b"host", b"x")], "query_string": b""}}
    await websocket_application(scope | {{"root_path": root_path}}, receive, send)
    return sent[0]

async def main():
    for path in {sockets!r}:
        root = "/app" if path.startswith("/app") else ""
        print(await first(path, root), await first(path + "rooms/lobby/", root))
    print(await first("/nowhere/"))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    lines = done.stdout.split("\n")
    found = "websocket.accept websocket.accept"
    assert lines[: len(sockets)] == [found] * len(sockets), done.stderr
    assert lines[len(sockets)] == "websocket.close"


class Echo(AsyncJsonWebsocketConsumer):
    """A consumer that the site has already."""

    async def receive_json(self, content):
        await self.send_json({"user": self.scope["user"].get_username(), **content})


def beside_others():
    return AuthMiddlewareStack(
        URLRouter(
            [
                path("echo/", Echo.as_asgi()),
                *websocket_urlpatterns,
                re_path(r"", not_found),
            ]
        )
    )


def around_others():
    """As a site may have written it for an older release."""
    return JWTAuthMiddleware(
        URLRouter([path("echo/", AuthMiddlewareStack(Echo.as_asgi())), *websocket_urlpatterns])
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("build", [beside_others, around_others])
async def test_they_stand_beside_other_consumers(build, alice, settings):
    application = ProtocolTypeRouter({"websocket": build()})
    client = Client()
    await sync_to_async(client.force_login)(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()

    async def talk(address, sent, origin=b"http://testserver"):
        headers = [(b"host", b"testserver"), (b"cookie", cookie), (b"origin", origin)]
        socket = WebsocketCommunicator(application, address, headers=headers)
        connected, code = await socket.connect(timeout=10)
        if not connected:
            return code
        await socket.send_to(text_data=json.dumps(sent))
        answer = json.loads(await socket.receive_from(timeout=10))
        await socket.disconnect(timeout=10)
        return answer

    assert await talk("/echo/", {"text": "hi"}) == {"user": "alice", "text": "hi"}
    assert "client" in (await talk("/ws/", {"id": 1, "connect": {}}))["connect"]
    assert await talk("/ws/", {}, origin=b"http://evil.example") == 1000
    await close_node()
