"""A site with Django's sessions, and without anything of JWT or DRF in its settings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SITE = """
import asyncio, json, sys
from django.conf import settings

settings.configure(
    SECRET_KEY="a-key-of-this-test-that-is-long-enough-for-hs256",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="realtime.urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=[
        "realtime",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "realtime.sign_ins.SignInMiddleware",
    ],
    CHANNEL_LAYERS={"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
import django

django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create_user("alice"))
key = client.cookies["sessionid"].value
token = client.post("/token/")
ticket = client.post("/ticket/")
rooms = client.get("/rooms/")

from realtime.routing import websocket_application


async def connect(*headers, **body):
    sent, incoming = [], asyncio.Queue()
    scope = {
        "type": "websocket", "path": "/ws/", "query_string": b"", "subprotocols": [],
        "headers": [(b"host", b"testserver"), *headers],
    }
    incoming.put_nowait({"type": "websocket.connect"})
    command = json.dumps({"id": 1, "connect": body})
    incoming.put_nowait({"type": "websocket.receive", "text": command})
    answered = asyncio.Event()

    async def send(event):
        sent.append(event)
        if event["type"] in ("websocket.send", "websocket.close"):
            answered.set()

    running = asyncio.create_task(websocket_application(scope, incoming.get, send))
    async with asyncio.timeout(20):
        await answered.wait()
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await asyncio.wait([running], timeout=10)
    last = sent[-1]
    return "connect" in json.loads(last["text"]) if "text" in last else last["code"]


async def main():
    origin, cookie = (b"origin", b"http://testserver"), (b"cookie", b"sessionid=" + key.encode())
    return [
        await connect(cookie, origin),
        await connect(origin, token=token.json()["token"]),
        await connect(origin),
        await connect(cookie),
    ]


print(json.dumps([token.status_code, ticket.status_code, rooms.status_code]))
print(json.dumps(asyncio.run(main())))
"""


def test_it_needs_nothing_of_jwt(tmp_path):
    env = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SITE, str(tmp_path / "db.sqlite3")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        timeout=90,
    )
    lines = done.stdout.strip().splitlines()
    assert lines == ["[200, 200, 200]", "[true, true, 3500, 3500]"], done.stdout + done.stderr
