"""One client for each protocol, with the same methods, so that the same can be asked of all.

There is no network: the applications of `realtime.routing` get what a server would hand them.
Long, because there is a class for each protocol, and all are read side by side.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from functools import cache, partial
from urllib.parse import quote, urlencode

import pytest
from centrifuge.protocol import client_pb2 as sdk
from django.core.asgi import get_asgi_application

from realtime.protocols.centrifuge_protobuf import CentrifugeProtobufProtocol
from realtime.protocols.protobuf.fields import delimited
from realtime.routing import http_application, websocket_application
from tests.support.event_streams import PATH, Request
from tests.support.polling import PollingClient

SECONDS = 30
ADDRESS = ["192.0.2.1", 50_000]
HOST = (b"host", b"testserver")
ORIGIN = (b"origin", b"http://testserver")

_ids = itertools.count(1)


@cache
def _http():
    return http_application(get_asgi_application())


class Refused(Exception):
    """The server has refused a command, or has ended the connection."""

    def __init__(self, code, message=""):
        super().__init__(code, message)
        self.code, self.message = code, message


class Forbidden(Exception):
    """The handshake was refused with HTTP 403, before there was a connection."""


@dataclass(frozen=True)
class Credential:
    """What a client brings, and where. `token` is for the command with which it connects."""

    headers: tuple = ()
    subprotocols: tuple = ()
    query: tuple = ()
    token: str = field(default="", repr=False)
    way: str = ""

    @classmethod
    def by(cls, way, value):
        """The credential `value` in one of the ways of `REALTIME["CREDENTIALS"]`."""
        text = value.encode()
        given = {
            "subprotocol": {"subprotocols": ("realtime.v1", f"bearer.{value}")},
            "header": {"headers": ((b"authorization", b"Bearer " + text),)},
            "connect": {"token": value},
            "ticket": {"query": (("ticket", value),)},
            "query": {"query": (("token", value),)},
            "session": {"headers": ((b"cookie", b"sessionid=" + text), ORIGIN)},
            "cookie": {"headers": ((b"cookie", b"access_token=" + text), ORIGIN)},
        }
        return cls(way=way, **given[way])


NOBODY = Credential()
_HTTP = {
    "bearers": "an HTTP request has no subprotocols",
    "paths": "Django answers for all other paths of HTTP",
}


class Client:
    """What all have in common: what came, and waiting for it."""

    name = ""
    lacks = {}
    """The abilities that the protocol has no notion of, each with a sentence that says why."""
    ways = ("subprotocol", "header", "connect", "ticket", "query", "session", "cookie")
    enters_later = False
    """Whether rooms that can't be entered now are entered as soon as they can."""
    reports_codes = True
    """Whether its client learns why a connection ends that is not authenticated yet."""
    bad_input = {}
    """Raw input that is not of the protocol, and the code with which it is answered."""

    def __init__(self):
        self.credential = NOBODY
        self.rooms = []
        self.close_code = None
        self.close_reason = ""
        self.transcript = []
        """Everything that the server has sent."""
        self.messages = []
        self.senders = []
        self.unsubscribed = {}
        self.news = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    @classmethod
    def has(cls, ability):
        return ability not in cls.lacks

    # What a protocol has of its own

    async def open(self, credential=NOBODY):
        """Shake hands, and say nothing."""
        raise NotImplementedError

    async def connect(self, credential=NOBODY):
        """Open a connection and be authenticated."""
        raise NotImplementedError

    async def subscribe(self, room):
        raise NotImplementedError

    async def publish_text(self, room, text):
        """Publish JSON that is written already, and wait until it is acknowledged."""
        raise NotImplementedError

    def begin(self, room, text):
        """Begin to publish, and wait for nothing."""
        raise NotImplementedError

    def send_raw(self, message):
        """Send something as it is, and wait for nothing."""
        raise NotImplementedError

    def cut(self):
        """Be gone without a word."""
        raise NotImplementedError

    async def drop(self):
        """Be gone, and wait until the server has noticed. Raises what the application raises."""
        raise NotImplementedError

    # What all have

    async def enter(self, credential, room="lobby"):
        await self.connect(credential)
        await self.subscribe(room)
        return self

    async def publish(self, room, data):
        await self.publish_text(room, json.dumps(data))

    async def receive(self, room="lobby"):
        """The data of the next message of a room. Raises `Refused` after the end."""

        def look():
            for index, (where, data) in enumerate(self.messages):
                if where == room:
                    del self.messages[index]
                    return (data,)
            return None

        (data,) = await self.until(look)
        return data

    async def until_unsubscribed(self, room):
        """Wait until the server has taken it out of a room, or has ended the connection; return the
        code."""
        return await self.until(lambda: self.unsubscribed.get(room) or self.close_code, True)

    async def until_closed(self):
        return await self.until(lambda: self.close_code, True)

    async def until(self, look, is_end_expected=False):
        async with asyncio.timeout(SECONDS):
            while (found := look()) is None:
                if self.close_code is not None and not is_end_expected:
                    raise Refused(self.close_code, self.close_reason)
                self.news.clear()
                await self.news.wait()
        return found

    async def refusal(self, work):
        """The code with which some work is refused, and the sentence."""
        with pytest.raises(Refused) as refused:
            await work
        return refused.value.code, refused.value.message

    @property
    def said(self):
        """Everything that the server has sent, as bytes."""
        parts = (part.encode() if isinstance(part, str) else part for part in self.transcript)
        return b"\n".join(parts)

    @property
    def is_open(self):
        return self.close_code is None

    def _keep(self, room, data, user=""):
        self.messages.append((room, data))
        self.senders.append(user)
        self.news.set()

    def _ended(self, code, reason=""):
        if self.close_code is None:
            self.close_code, self.close_reason = int(code), reason
        self.news.set()


class _WebSocket(Client):
    """A WebSocket as a server hands it to the application."""

    path = "/ws/"
    subprotocols = ()
    fixed_query = ()
    _task = None

    async def open_at(self, path, credential):
        await self._open(credential, path)

    async def _open(self, credential, path=""):
        self.credential = credential
        self.close_code = None
        self.accepted = None
        self._to_app = asyncio.Queue()
        self._to_app.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": path or self.path,
            "root_path": "",
            "query_string": urlencode((*self.fixed_query, *credential.query)).encode(),
            "headers": [HOST, *credential.headers],
            "subprotocols": [*self.subprotocols, *credential.subprotocols],
            "client": ADDRESS,
        }
        self._task = asyncio.create_task(
            websocket_application(scope, self._to_app.get, partial(self._send, self._to_app))
        )
        await self.until(lambda: self.accepted, True)
        if self.accepted is False:
            await self._task
            raise Forbidden

    async def _send(self, to_app, event):
        if to_app is not self._to_app:
            return  # of a connection before this one
        await self.reads.wait()
        if event["type"] == "websocket.accept":
            self.accepted = event
            self.transcript.append(str(event.get("subprotocol") or ""))
        elif event["type"] == "websocket.send":
            text = event.get("text")
            message = event["bytes"] if text is None else text
            self.transcript.append(message)
            self._take(message)
        else:
            to_app.put_nowait({"type": "websocket.disconnect", "code": event["code"]})
            if self.accepted is None:
                self.accepted = False
            else:
                self.transcript.append(event.get("reason", ""))
                self._ended(event["code"], event.get("reason", ""))
        self.news.set()

    def send_raw(self, message):
        key = "text" if isinstance(message, str) else "bytes"
        self._to_app.put_nowait({"type": "websocket.receive", key: message})

    def cut(self):
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self._ended(1006)

    async def drop(self):
        if self._task is None:
            return
        self.cut()
        self.reads.set()
        async with asyncio.timeout(SECONDS):
            await self._task
        self._task = None

    def _take(self, message):
        raise NotImplementedError


class _Commands(Client):
    """Commands with ids, and their replies."""

    history_options = {}

    def __init__(self):
        super().__init__()
        self._replies = {}

    async def command(self, name, **body):
        id = next(_ids)
        self._send_command(id, name, body)
        return await self.reply_to(id)

    async def reply_to(self, id):
        reply = await self.until(lambda: self._replies.pop(id, None))
        if isinstance(reply, Refused):
            raise reply
        return reply

    async def subscribe(self, room):
        await self.command("subscribe", channel=room)
        self.rooms.append(room)

    async def unsubscribe(self, room):
        await self.command("unsubscribe", channel=room)
        self.rooms.remove(room)

    async def history(self, room):
        return await self.command("history", channel=room, **self.history_options)

    async def presence(self, room):
        return (await self.command("presence", channel=room))["presence"]

    async def publish_text(self, room, text):
        await self.reply_to(self.begin(room, text))

    def begin(self, room, text):
        id = next(_ids)
        self._send_command(id, "publish", {"channel": room}, text)
        return id

    def _send_command(self, id, name, body, data=None):
        raise NotImplementedError

    def _answered(self, id, reply):
        self._replies[id] = reply
        self.news.set()


class Native(_Commands, _WebSocket):
    name = "native"
    history_options = {"limit": -1}
    bad_input = {
        **dict.fromkeys(('{"a":', "", "]", "5", "null", "[]", "{}{}", "\ufeff{}"), 3501),
        '{"connect":{}}': 3501,
        '{"id":7}': 107,
        '{"id":7,"nonsense":{}}': 107,
        '{"id":7,"ping":{},"rpc":{}}': 107,
        '{"id":7,"publish":5}': 107,
        '{"id":-7,"ping":{}}': 3501,
        b"\x00\xff": 3501,
    }

    async def open(self, credential=NOBODY):
        await self._open(credential)

    async def connect(self, credential=NOBODY):
        await self.open(credential)
        return await self.command("connect", **self._token(credential))

    async def refresh(self, token):
        return await self.command("refresh", token=token)

    @staticmethod
    def _token(credential):
        return {"token": credential.token} if credential.token else {}

    def _send_command(self, id, name, body, data=None):
        written = json.dumps(body)
        if data is not None:
            written = f'{written[:-1]},"data":{data}}}'
        self.send_raw(f'{{"id":{id},"{name}":{written}}}')

    def _take(self, message):
        for line in message.split("\n"):
            frame = json.loads(line, parse_constant=_never)
            if not frame:
                self.send_raw("{}")
            elif "push" not in frame:
                self._take_reply(frame)
            else:
                self._take_push(frame["push"])

    def _take_reply(self, frame):
        error = frame.get("error")
        if error is None:
            [reply] = [value for key, value in frame.items() if key != "id"]
        else:
            reply = Refused(error["code"], error["message"])
        self._answered(frame["id"], reply)

    def _take_push(self, push):
        if "pub" in push:
            user = push["pub"].get("info", {}).get("user", "")
            self._keep(push["channel"], push["pub"]["data"], user)
        elif "unsubscribe" in push:
            self.unsubscribed[push["channel"]] = push["unsubscribe"]["code"]


class Protobuf(Native):
    name = "protobuf"
    lacks = {"bearers": "its own subprotocol can be selected beside that of a token"}
    subprotocols = ("centrifuge-protobuf",)
    bad_input = {
        **dict.fromkeys((b"", b"\x05abcd", b"\x80", b"\xff" * 20, b"\x0b\x0c"), 3501),
        **dict.fromkeys((b"\x02\x08\x07", b"\x04\x08\x07\x7a\x00"), 107),
        b'{"id":1}': 3501,
        "{}": 3501,
    }

    async def open(self, credential=NOBODY):
        await self._open(credential)
        assert self.accepted["subprotocol"] in (None, "realtime.v1", "centrifuge-protobuf")

    def _send_command(self, id, name, body, data=None):
        if data is not None:
            body = {**body, "data": data if isinstance(data, bytes) else data.encode()}
        self.send_raw(delimited(sdk.Command(id=id, **{name: body}).SerializeToString()))

    def _take(self, message):
        for part in CentrifugeProtobufProtocol().split(message, 10_000):
            if part == b"\x00":
                self.send_raw(part)
                continue
            reply = sdk.Reply.FromString(part)
            if reply.HasField("push"):
                self._take_push_of_bytes(reply.push)
            elif reply.HasField("error"):
                self._answered(reply.id, Refused(reply.error.code, reply.error.message))
            else:
                self._answered(reply.id, _fields(reply))

    def _take_push_of_bytes(self, push):
        if push.HasField("pub"):
            data = json.loads(push.pub.data, parse_constant=_never)
            self._keep(push.channel, data, push.pub.info.user)
        elif push.HasField("unsubscribe"):
            self.unsubscribed[push.channel] = push.unsubscribe.code


def _fields(reply):
    """The reply to a command as a dict."""
    [(_, found)] = [(key, value) for key, value in reply.ListFields() if key.name != "id"]
    if isinstance(found, sdk.PresenceResult):
        return {"presence": {key: {"user": info.user} for key, info in found.presence.items()}}
    if isinstance(found, sdk.HistoryResult):
        return {"publications": [{"data": json.loads(pub.data)} for pub in found.publications]}
    return {}


def _never(constant):
    raise AssertionError(f"{constant} was sent on")


class _OneConnectionARoom(Client):
    """Connecting is entering: there is no command for it."""

    lacks = {
        "commands": "connecting is entering, and there are no commands",
        "silence": "its client is authenticated by the handshake, or refused at once",
    }

    async def connect(self, credential=NOBODY):
        await self._enter(credential, ["lobby"])

    async def subscribe(self, room):
        if room not in self.rooms:
            await self.drop()
            await self._enter(self.credential, [*self._kept(), room])

    def _kept(self):
        return ()

    async def _enter(self, credential, rooms):
        raise NotImplementedError


class Plain(_OneConnectionARoom, _WebSocket):
    name = "plain"
    lacks = {**_OneConnectionARoom.lacks, "rooms": "each connection is in one room"}
    ways = ("subprotocol", "header", "ticket", "query", "session", "cookie")
    bad_input = {
        **dict.fromkeys(('{"a":', "", "]", "{}{}", "\ufeff{}", "nonsense", "'a'"), 107),
        b"\x00\xff": 3501,
    }

    def __init__(self):
        super().__init__()
        self._errors = []

    async def open(self, credential=NOBODY, room="lobby"):
        self.credential = credential
        self._errors = []
        await self._open(credential, f"/ws/rooms/{room}/")

    async def _enter(self, credential, rooms):
        await self.open(credential, rooms[-1])
        self.rooms = []
        await self.until(lambda: self.rooms or self._errors or None)
        if self._errors:
            await self.until_closed()
            raise self._errors[0]

    async def publish_text(self, room, text):
        """There is no acknowledgement; but the message itself comes back."""
        assert room in self.rooms
        heard, refused = len(self.messages), len(self._errors)
        self.send_raw(text)
        await self.until(lambda: self.messages[heard:] or self._errors[refused:] or None)
        if self._errors[refused:]:
            raise self._errors[-1]

    def begin(self, room, text):
        self.send_raw(text)

    def _take(self, message):
        frame = json.loads(message, parse_constant=_never)
        if frame["type"] == "joined":
            self.rooms.append(frame["room"])
        elif frame["type"] == "message":
            self._keep(frame["room"], frame["data"], frame["user"])
        elif frame["type"] == "error":
            self._errors.append(Refused(frame["code"], frame["message"]))


class _SocketIO(_Commands):
    """The packets of Socket.IO, whatever carries them."""

    bad_input = {
        **dict.fromkeys(("7", "48", "42", "42[]", "42{}", "42nonsense", '42["connect"]'), 3501),
        **dict.fromkeys(("40", '42/other,["a"]', '43["a"', "45[", "4"), 3501),
        **dict.fromkeys(('42["join"]', '42["join",5]', '42["publish","lobby"]'), 107),
    }

    def __init__(self):
        super().__init__()
        self._connected = None
        self.errors = []

    async def connect(self, credential=NOBODY):
        await self.open(credential)
        self._connected = None
        self.send_raw("40" + (json.dumps({"token": credential.token}) if credential.token else ""))
        reply = await self.until(lambda: self._connected)
        if isinstance(reply, Refused):
            raise reply
        return reply

    async def refresh(self, token):
        return await self.command("refresh", token=token)

    def _send_command(self, id, name, body, data=None):
        names = {"subscribe": "join", "unsubscribe": "leave"}
        event = ",".join(json.dumps(each) for each in (names.get(name, name), *body.values()))
        self.send_raw(f"42{id}[{event}{'' if data is None else ',' + data}]")

    def _take_packet(self, packet):
        kind, body = packet[:2], packet[2:]
        if packet == "2":
            self.send_raw("3")
        elif kind == "40":
            self._connected = json.loads(body)
        elif kind == "44":
            error = json.loads(body)
            self._connected = Refused(error["data"]["code"], error["message"])
        elif kind == "43":
            id, _, answer = body.partition("[")
            self._take_answer(int(id), json.loads("[" + answer, parse_constant=_never))
        elif kind == "42":
            self._take_event(*json.loads(body, parse_constant=_never))
        self.news.set()

    def _take_answer(self, id, answer):
        [reply] = answer
        if "error" in reply:
            reply = Refused(reply["error"]["code"], reply["error"]["message"])
        self._answered(id, reply)

    def _take_event(self, name, about, *position):
        if name == "publication":
            self._keep(about["room"], about["data"], about.get("user", ""))
        elif name == "unsubscribed":
            self.unsubscribed[about["room"]] = about["code"]
        elif name == "error":
            self.errors.append(Refused(about["code"], about["message"]))
        elif name == "closed":
            self._ended(about["code"], about["reason"])


class SocketIO(_SocketIO, _WebSocket):
    name = "socketio"
    path = "/socket.io/"
    fixed_query = (("EIO", "4"), ("transport", "websocket"))

    async def open(self, credential=NOBODY):
        await self._open(credential)

    def _take(self, message):
        self._take_packet(message)


class Polling(_SocketIO):
    name = "polling"
    lacks = {**_HTTP}
    reports_codes = False
    ways = ("header", "connect", "ticket", "query", "session", "cookie")
    bad_input = {
        **_SocketIO.bad_input,
        **dict.fromkeys(("", "7", "9", "4\x1e", "b*", b"\xff"), 400),
    }
    _poll = None

    async def open(self, credential=NOBODY):
        self.credential, self.close_code = credential, None
        self._requests = PollingClient(
            _http(),
            query=credential.query,
            headers=credential.headers,
        )
        self._waiting = asyncio.Queue()
        self.statuses = []
        answer = await self._requests.request()
        if answer is None:
            raise Refused(1006)
        self.transcript.append(answer.text)
        if answer.status == 403:
            raise Forbidden
        [first, *others] = answer.packets
        self._requests.sid = json.loads(first[1:])["sid"]
        for packet in others:
            self._take_packet(packet)
        self._poll = asyncio.create_task(self._read())
        self._post = asyncio.create_task(self._write())

    async def _read(self):
        while True:
            await self.reads.wait()
            answer = await self._requests.request()
            if answer is None:
                return
            self.statuses.append(answer.status)
            if answer.status != 200:
                return self._ended(answer.status)
            self.transcript.append(answer.text)
            for packet in answer.packets:
                self._take_packet(packet)
                if packet == "1":
                    failed = isinstance(self._connected, Refused)
                    return self._ended(self._connected.code if failed else 400)

    async def _write(self):
        while True:
            message = await self._waiting.get()
            body = message.encode() if isinstance(message, str) else message
            answer = await self._requests.request("POST", body)
            self.statuses.append(answer.status)
            if answer.status != 200:
                self._ended(answer.status)

    def send_raw(self, message):
        self._waiting.put_nowait(message)

    def cut(self):
        # A poll that is left ends the session; without one, the server would wait for the next.
        self._requests.gone.set()
        self._ended(1006)

    async def drop(self):
        if self._poll is None:
            return
        self._post.cancel()
        self.cut()
        self.reads.set()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(self._poll, self._post, return_exceptions=True)
        if self._poll.exception() is not None:
            raise self._poll.exception()
        self._poll = None


class EventStream(_OneConnectionARoom):
    name = "sse"
    lacks = {
        **_OneConnectionARoom.lacks,
        "sending": "a stream of events carries nothing from its client",
        **_HTTP,
    }
    enters_later = True
    ways = ("header", "ticket", "query", "session", "cookie")
    _reader = None
    _request = None

    def _kept(self):
        return self.rooms

    async def open(self, credential=NOBODY, rooms=("lobby",)):
        self.credential, self.close_code = credential, None
        self._request = Request(
            _http(),
            {
                "type": "http",
                "method": "GET",
                "scheme": "http",
                "path": PATH,
                "root_path": "",
                "query_string": urlencode(
                    [*(("room", room) for room in rooms), *credential.query], quote_via=quote
                ).encode(),
                "headers": [HOST, *credential.headers],
                "client": ADDRESS,
            },
        )
        self._request.reads = self.reads
        await self._request.begun_or_over()
        if not self._request.started:
            raise Refused(1006)

    async def _enter(self, credential, rooms):
        await self.open(credential, rooms)
        if self._request.status != 200:
            await self._raise_refusal()
        self.rooms, self.refused = [], {}
        self._reader = asyncio.create_task(self._read(self._request))
        await self.until(lambda: len(self.rooms) + len(self.refused) == len(rooms) or None)
        if rooms[-1] in self.refused:
            raise self.refused[rooms[-1]]

    async def _raise_refusal(self):
        answer = await self._request.answer()
        self.transcript.append(json.dumps(answer))
        if "error" not in answer:
            assert self._request.status == 403
            raise Forbidden
        self._ended(answer["error"], answer["detail"])
        raise Refused(answer["error"], answer["detail"])

    async def _read(self, request):
        try:
            while True:
                self._take(await request.next())
        except EOFError:
            self._ended(1006)

    def _take(self, event):
        self.transcript.append(json.dumps(event, ensure_ascii=False))
        kind = event["type"]
        if kind == "joined":
            self.rooms.append(event["room"])
        elif kind == "refused":
            self.refused[event["room"]] = Refused(event["code"], event["message"])
        elif kind == "message":
            self._keep(event["room"], event["data"], event["user"])
        elif kind == "unsubscribed":
            self.unsubscribed[event["room"]] = event["code"]
        elif kind == "closed":
            self._ended(event["code"], event["message"])
        self.news.set()

    def cut(self):
        self._request.leave.set()
        self._ended(1006)

    async def drop(self):
        if self._request is None:
            return
        self.reads.set()
        self.cut()
        await self._request.end()
        if self._reader is not None:
            await self._reader
        self._request = self._reader = None


def needs(ability):
    """Mark a test that is for clients with this ability: see `Client.lacks`."""

    def mark(test):
        test.ability = ability
        return test

    return mark


PROTOCOLS = (Native, Protobuf, Plain, SocketIO, Polling, EventStream)
