"""Any JSON value, any frame, any order: answered or closed with its code, and nobody else suffers.

Hypothesis drives the consumer of each protocol, as a server would, without a network in between.
Long, because a client of each protocol is asked the same.
"""

import asyncio
import json
import logging

import pytest
from centrifuge.codecs import _ProtobufCodec as protobuf
from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from realtime.authentication import Identity
from realtime.consumers import PlainConsumer, RealtimeConsumer
from realtime.hub.node import close_node
from realtime.models import Room

pytestmark = pytest.mark.django_db(transaction=True)

CODES = {100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 111, 112}
CLOSES = {3000, 3001, 3005, 3008, 3012, 3500, 3501, 3502, 3503, 3507, 3509}
COMMANDS = (
    *("connect", "refresh", "subscribe", "unsubscribe", "publish", "history", "presence"),
    *("presence_stats", "rpc", "send", "ping", "pong", "sub_refresh", "nonsense"),
)
NAMES = (
    "lobby",
    "staff",
    "absent",
    "",
    "lobby\n",
    "..",
    "LOBBY",
    "x" * 300,
    "\ud83d\ude00",
    "\x00",
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(NAMES) | json_values,
        "data": json_values,
        "token": st.sampled_from(["", "a.b.c", "x" * 9_000]) | json_values,
        "limit": st.integers() | json_values,
        "since": st.fixed_dictionaries({"offset": st.integers(), "epoch": st.text(max_size=8)})
        | json_values,
        "reverse": st.booleans() | json_values,
        "recover": st.booleans() | json_values,
        "offset": st.integers() | json_values,
        "epoch": st.text(max_size=8) | json_values,
        "flag": st.integers(-1, 9) | json_values,
        "join_leave": st.booleans() | json_values,
        "type": st.integers(-1, 4) | json_values,
        "tf": json_values,
        "key": st.text(max_size=8) | json_values,
        "method": st.text(max_size=8) | json_values,
        "subs": st.dictionaries(st.sampled_from(NAMES), json_values, max_size=3) | json_values,
    },
)
ids = st.integers(-1, 5) | st.integers() | json_values
commands = st.builds(
    lambda id, name, body: {"id": id, name: body},
    ids,
    st.sampled_from(COMMANDS),
    fields | json_values,
)
PIECES = ('{"a":', "", "\ufeff{}", "]", "5", "null", "[]", "{}", "\n\n", '{"id":1}', "NaN", "1e999")
lines = (
    commands.map(json.dumps)
    | json_values.map(json.dumps)
    | st.sampled_from(PIECES)
    | st.sampled_from(
        [
            r'{"id":7,"publish":{"channel":"lobby","data":"\ud800"}}',
            r'{"publish":{"channel":"lobby","data":{"id":8,"a":"\ud83d"}},"id":9}',
            r'{"send":{"data":"\ud83d"}}',
            '{"id":7,"rpc":{"data":NaN}}',
            "[" * 2_000,
        ]
    )
    | st.text(max_size=40)
)
frames = st.lists(lines, min_size=1, max_size=4).map("\n".join)


class Complaints(logging.Handler):
    """Everything that the app logs as an error."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(record)


class Connection:
    """One connection to a consumer, as a server holds it."""

    def __init__(self, consumer, user, path="/ws/", query=b"", subprotocols=()):
        self.sent = []
        self.seen = 0
        self._to_app = asyncio.Queue()
        identity = None if user is None else Identity(user)
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query,
            "headers": [],
            "subprotocols": list(subprotocols),
            "user": user or AnonymousUser(),
            "identity": identity,
            "authentication_error": None,
            "url_route": {"kwargs": {"room": path.strip("/").rsplit("/", 1)[-1]}},
        }
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(consumer()(scope, self._to_app.get, self._send))

    async def _send(self, event):
        self.sent.append(event)

    async def say(self, **frame):
        self._to_app.put_nowait({"type": "websocket.receive", **frame})
        await self.settled()

    async def settled(self):
        """Wait until the consumer has answered and waits for the next frame."""
        quiet = 0
        before = -1
        async with asyncio.timeout(60):
            while quiet < 3:
                await asyncio.sleep(0.002)
                idle = self._to_app.empty() and len(self.sent) == before
                quiet = quiet + 1 if idle else 0
                before = len(self.sent)

    async def leave(self):
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1006})
        async with asyncio.timeout(60):
            await self.task  # an exception of the consumer would come out here

    @property
    def close_code(self):
        return next((e["code"] for e in self.sent if e["type"] == "websocket.close"), None)

    def messages(self):
        """The events that were sent since the last call."""
        new, self.seen = self.sent[self.seen :], len(self.sent)
        sent = [event for event in new if event["type"] == "websocket.send"]
        return [message for event in sent for message in _messages_in(event)]


def _messages_in(event):
    if (binary := event.get("bytes")) is not None:
        return protobuf.decode_replies(binary)
    return [json.loads(line, parse_constant=_refuse) for line in event["text"].split("\n")]


def _refuse(constant):
    raise AssertionError(f"{constant} was sent on")


class HostileClient(RuleBasedStateMachine):
    """`loop`, `alice` and `complaints` are set by the test."""

    consumer = RealtimeConsumer
    path = "/ws/"
    subprotocols = ()

    @initialize()
    def begin(self):
        self.marks = 0
        self.bystander = self.run(self._open(RealtimeConsumer, "/ws/"))
        self.run(self.bystander.say(text='{"id":1,"connect":{}}'))
        self.run(self.bystander.say(text='{"id":2,"subscribe":{"channel":"aside"}}'))
        self.client = self.run(self._open(self.consumer, self.path, self.subprotocols))

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def _open(self, consumer, path, subprotocols=()):
        connection = Connection(consumer, self.alice, path, subprotocols=subprotocols)
        await connection.settled()
        return connection

    @rule(text=frames)
    def send_text(self, text):
        self.run(self.client.say(text=text))

    @rule(data=st.binary(max_size=20))
    def send_bytes(self, data):
        self.run(self.client.say(bytes=data))

    @rule()
    def connect_well(self):
        self.run(self.client.say(**self.encoded({"id": 1, "connect": {}})))

    @rule(recover=st.booleans())
    def subscribe_well(self, recover):
        body = {"channel": "lobby", "recover": recover, "join_leave": True}
        self.run(self.client.say(**self.encoded({"id": 2, "subscribe": body})))

    def encoded(self, command):
        return {"text": json.dumps(command)}

    @rule()
    def come_back(self):
        self.run(self.client.leave())
        self.client = self.run(self._open(self.consumer, self.path, self.subprotocols))

    @precondition(lambda self: hasattr(self, "client"))
    @invariant()
    def answers_are_of_the_protocol(self):
        for message in self.client.messages():
            assert isinstance(message, dict)
            error = message.get("error") or (message if message.get("type") == "error" else None)
            if error:
                assert error["code"] in CODES | CLOSES, error
                assert "reference" not in error["message"], error
        assert self.client.close_code in {None, *CLOSES}
        assert not self.complaints.records, self.complaints.records[0].getMessage()

    @precondition(lambda self: hasattr(self, "bystander"))
    @invariant()
    def the_bystander_hears_everything(self):
        self.marks += 1
        command = {"id": 3, "publish": {"channel": "aside", "data": self.marks}}
        self.run(self.bystander.say(text=json.dumps(command)))
        heard = []
        for _ in range(5_000):
            heard += [m["push"]["pub"]["data"] for m in self.bystander.messages() if "push" in m]
            if heard:
                break
            self.run(self.bystander.settled())
        assert heard == [self.marks]

    def teardown(self):
        for connection in (getattr(self, "client", None), getattr(self, "bystander", None)):
            if connection is not None:
                self.run(connection.leave())
        self.run(close_node())


class HostilePlainClient(HostileClient):
    consumer = PlainConsumer
    path = "/ws/rooms/lobby/"


def _sized(parts):
    return b"".join(bytes((len(part),)) + part for part in parts)


pieces = st.sampled_from(
    [
        *[b"", b"\x08\x07", b"\x08\x07\x5a\x00", b"\x5a\x00", b"\x62\x03\x0a\x01{"],
        *[b"\x08\x07\x3a\x0a\x0a\x05lobby\x12\x011", b"\x08\x07\x3a\x0b\x0a\x05lobby\x12\x02\xff{"],
        *[b"\x08\x07\x2a\x02\x18\x01", b"\x08\x07\x22\x05\x1a\x03\x0a\x01a", b"\x0b\x0c"],
        *[b"\x08\x07\x6a\x03\x0a\x01x", b"\x08\x07\x52\x02\x38\x01", b"\x08\x07\x7a\x00"],
    ]
)


class HostileProtobufClient(HostileClient):
    subprotocols = ("centrifuge-protobuf",)

    def encoded(self, command):
        return {"bytes": protobuf.encode_commands([command])}

    @rule(parts=st.lists(pieces | st.binary(max_size=40), min_size=1, max_size=4))
    def send_commands(self, parts):
        self.run(self.client.say(bytes=_sized(parts)))


@pytest.mark.parametrize("machine", [HostileClient, HostilePlainClient, HostileProtobufClient])
def test_no_client_breaks_the_server(machine, settings_of_machine):
    alice = User.objects.create_user("alice")
    for name in ("lobby", "aside"):
        Room.objects.create(name=name, access=Room.Access.AUTHENTICATED)
    Room.objects.create(name="staff")
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    loop = asyncio.new_event_loop()
    machine.loop, machine.alice, machine.complaints = loop, alice, complaints
    try:
        run_state_machine_as_test(machine, settings=settings_of_machine)
        loop.run_until_complete(database_sync_to_async(lambda: None)())
    finally:
        logging.getLogger().removeHandler(complaints)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
def settings_of_machine():
    return settings(
        max_examples=15,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,  # the same inputs each time; a search is one option away
        database=None,
        suppress_health_check=list(HealthCheck),
    )
