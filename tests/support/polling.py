"""A client of Engine.IO that polls, without a server; and a protocol that is carried by it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.authentication.credentials import header_values
from realtime.codes import CloseCode
from realtime.consumers import RealtimeConsumer
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.transports.polling_sessions import get_sessions

USERS = {"alice": 1, "bob": 2}


class MessageProtocol(CentrifugeProtocol):
    """The native protocol in messages of Engine.IO, as long as a test needs no other."""

    separator = None
    ping = "2"
    pong = "3"
    message_types = (str, bytes)

    def decode(self, message):
        if isinstance(message, bytes):
            message = "4" + json.dumps({"id": 9, "rpc": {"method": message.hex()}})
        return super().decode(message[1:])

    def id_in(self, message):
        return super().id_in(message[1:])

    def encode_reply(self, command, result):
        return ["4" + reply for reply in super().encode_reply(command, result)]

    def encode_error(self, id, error):
        return "4" + super().encode_error(id, error)

    def encode_publication(self, room, publication):
        return "4" + super().encode_publication(room, publication)

    def encode_disconnect(self, code: CloseCode, reason):
        return f"4closed {int(code)}"


class MessageConsumer(RealtimeConsumer):
    """Keeps its sessions, for tests to look at."""

    def __init__(self):
        super().__init__()
        self.sessions = []

    def protocol(self, scope):
        return MessageProtocol()

    def _session(self, scope, sink):
        opened = super()._session(scope, sink)
        self.sessions.append(opened[0])
        return opened


def authenticate(inner):
    """Stands in for `JWTAuthMiddleware`: the token is the name."""

    async def middleware(scope, receive, send):
        names = [value.split()[1] for value in header_values(scope, b"authorization")]
        identity = None
        if names and names[0].split(".")[0] in USERS:
            name = names[0].split(".")[0]
            identity = Identity(User(pk=USERS[name], username=name))
        error = None
        await inner(scope | {"identity": identity, "authentication_error": error}, receive, send)

    return middleware


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def packets(self):
        assert self.status == 200, self
        return self.text.split("\x1e")

    @property
    def code(self):
        """The number of an error of Engine.IO."""
        return json.loads(self.text)["code"]


class PollingClient:
    """Sends requests to `app`. `close` goes away while a request is answered."""

    def __init__(self, app, *, token="", query=(), headers=()):
        self.app = app
        self.sid = ""
        self.headers = [(b"host", b"testserver"), *headers]
        if token:
            self.headers.append((b"authorization", f"Bearer {token}".encode()))
        self.query = {"EIO": "4", "transport": "polling", **dict(query)}
        self.gone = asyncio.Event()

    def scope(self, method="GET", **query):
        query = self.query | ({"sid": self.sid} if self.sid else {}) | query
        query = {key: value for key, value in query.items() if value is not ...}
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": "/socket.io/",
            "root_path": "",
            "query_string": urlencode(query).encode(),
            "headers": list(self.headers),
            "client": ["127.0.0.1", 1],
            "server": ["testserver", 80],
        }

    async def request(self, method="GET", body=b"", *, parts=None, headers=(), **query):
        parts = list(parts or [body])
        sent = []

        async def receive():
            if parts:
                body = parts.pop(0)
                return {"type": "http.request", "body": body, "more_body": bool(parts)}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(event):
            sent.append(event)

        scope = self.scope(method, **query)
        scope["headers"] += headers
        async with asyncio.timeout(30):
            await self.app(scope, receive, send)
        if not sent:
            return None
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, sent[1].get("body", b"").decode())

    async def open(self):
        """Shake hands, and return what the server tells about the session."""
        first = (await self.request()).packets[0]
        assert first[0] == "0"
        about = json.loads(first[1:])
        self.sid = about["sid"]
        return about

    async def request_options(self):
        return await self.request("OPTIONS")

    async def poll(self):
        return (await self.request()).packets

    async def post(self, *packets):
        answer = await self.request("POST", "\x1e".join(packets).encode())
        assert answer.text == "ok", answer
        return answer

    async def call(self, **command):
        """Send a command of the native protocol and poll until its reply is there."""
        await self.post("4" + json.dumps(command))
        while True:
            for packet in await self.poll():
                reply = json.loads(packet[1:]) if packet[0] == "4" else {}
                if reply.get("id") == command["id"]:
                    return reply

    def websocket(self, app, **query):
        query = {"EIO": "4", "transport": "websocket", "sid": self.sid} | query
        socket = WebsocketCommunicator(app, f"/socket.io/?{urlencode(query)}", list(self.headers))
        return socket


async def start_poll(client):
    """A poll that waits, in whichever process the session is."""
    poll = asyncio.create_task(client.request())
    session = get_sessions().get(client.sid)
    async with asyncio.timeout(30):
        while not session.sink.is_polled:
            await asyncio.sleep(0)
    return poll
