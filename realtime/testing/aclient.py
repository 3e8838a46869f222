"""A connected client of a test, for coroutines: everything but the server and the socket."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from ..authentication import Identity, session_identities, verification
from ..connection.dispatcher import Dispatcher
from ..connection.session import Session
from ..hub.node import close_node, get_node
from ..protocols.centrifuge import CentrifugeProtocol
from .commits import run_waiting
from .messages import Closed, Message, Refused
from .pipe import Pipe

WAIT_SECONDS = 5.0
"""How long a client waits for what has to come."""
QUIET_SECONDS = 0.1
"""How long it listens for what must not come."""

_PROTOCOL = CentrifugeProtocol()


class AsyncClient:
    """A client of a user, who needs no password; or of whoever `token`, an access token, or
    `session_key`, the key of a Django session, belongs to. Without any of them: of nobody.

    `scopes` narrow what it may do, as those of a token: `["realtime:join"]`.
    """

    def __init__(
        self, user: Any = None, *, token: str = "", session_key: str = "", scopes: Any = None
    ) -> None:
        self._user, self._token, self._session_key = user, token, session_key
        self._scopes = None if scopes is None else frozenset(scopes)
        self._positions: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, str] = {}
        self._ids = iter(range(1, 1_000_000))
        self._session: Session | None = None
        self.unsubscribed: dict[str, tuple[int, str]] = {}
        """The code and the reason for each room that the server took it out of."""
        self.notices: list[str] = []
        """What administrators wanted to be shown."""
        self._messages: deque[Message] = deque()
        self._replies: dict[int, dict[str, Any]] = {}

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.drop()
        if not get_node().sessions:
            await close_node()

    # The connection

    async def connect(self) -> dict[str, Any]:
        """Connect, and return the reply. Raises `Closed` if that is refused."""
        node = get_node()
        self._pipe = Pipe()
        session = self._session = Session(
            transport=self._pipe,
            protocol=_PROTOCOL,
            node=node,
            identity=await self._identity(),
            address="127.0.0.1",
        )
        self._dispatcher = Dispatcher(session)
        node.sessions.add(session)
        session.open()
        reply = await self._call("connect", token=self._token)
        for room, entered in reply.get("subs", {}).items():
            if room not in self._positions:
                self._enter(room, entered)
        return reply

    async def reconnect(self) -> dict[str, bool]:
        """Connect again after `drop()`, as the SDKs do. Return the rooms that it was in, each with
        whether everything was recovered that was said in the meantime; it can be received now."""
        await self.connect()
        recovered = {}
        for room, position in list(self._positions.items()):
            body = {"channel": room, "token": self._tokens.get(room, ""), "recover": True}
            reply = await self._call("subscribe", **body, **position)
            self._enter(room, reply)
            recovered[room] = bool(reply.get("recovered"))
        return recovered

    def drop(self) -> None:
        """Lose the connection, without a word to the server."""
        if self._session is not None:
            self._session.end()
            self._session.node.sessions.discard(self._session)

    def expire(self) -> None:
        """Let the credential expire now; the client does not bring a newer one in time."""
        session = self._connected()
        past = time.time() - session.expiry_grace_seconds - 1
        session.identity = replace(session.caller, expires_at=past)
        session.timers.watch_expiry()

    @property
    def id(self) -> str:
        """The id of the connection, for `publish(…, exclude=…)`."""
        return self._connected().id

    @property
    def rooms(self) -> set[str]:
        """The rooms that it is in."""
        return set(self._connected().rooms)

    # Commands. Each raises `Refused` if it is refused, and `Closed` if the connection has ended

    async def join(self, room: str, *, token: str = "") -> Any:
        """Enter a room, by a `token` of `realtime.grant` if there is one. Return what the room's
        `get_state` gives, or None."""
        reply = await self._call("subscribe", channel=room, token=token)
        self._tokens[room] = token
        self._enter(room, reply)
        return reply.get("data")

    async def leave(self, room: str) -> None:
        await self._call("unsubscribe", channel=room)
        self._positions.pop(room, None)

    async def publish(self, room: str, data: Any) -> None:
        await self._call("publish", channel=room, data=data)

    async def rpc(self, method: str, data: Any = None) -> Any:
        return (await self._call("rpc", method=method, data=data)).get("data")

    async def history(self, room: str, limit: int = 100) -> list[Any]:
        reply = await self._call("history", channel=room, limit=limit)
        return [each["data"] for each in reply.get("publications", ())]

    async def presence(self, room: str) -> set[str]:
        """The primary keys, as text, of the users in a room."""
        reply = await self._call("presence", channel=room)
        return {info["user"] for info in reply.get("presence", {}).values()}

    # What comes from the server

    async def receive(self, room: str = "") -> Any:
        """Return the data of the next message, of `room` if one is given. Raises `TimeoutError` if
        none comes, and `Closed` if the connection has ended."""
        return (await self.receive_message(room)).data

    async def receive_message(self, room: str = "") -> Message:
        """As `receive`, with the room, the sender and the number of the message."""
        found = await self._until(lambda: self._next(room), f"no message came{_in(room)}")
        assert isinstance(found, Message)
        self._messages.remove(found)
        return found

    async def assert_nothing_received(self, room: str = "", seconds: float = QUIET_SECONDS) -> None:
        """Fail if a message has come that was not received, or comes within `seconds`."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(seconds):
                found = await self._until(lambda: self._next(room), "")
        except (TimeoutError, Closed):
            return
        raise AssertionError(f"nothing should have come{_in(room)}, but {found} has")

    async def assert_unsubscribed(self, room: str) -> None:
        """Fail unless the server has taken it out of `room`, or does soon."""
        why = f"it is still in {room!r}"
        await self._until(lambda: room in self.unsubscribed or None, why)

    async def assert_closed(self, code: int | None = None) -> None:
        """Fail unless the server has closed the connection, or does soon, with `code` if given."""
        await self._until(lambda: self._pipe.closed, "the connection is still open", closed=True)
        assert self._pipe.closed is not None
        closed_with, reason = self._pipe.closed
        if code not in (None, closed_with):
            raise AssertionError(f"it was closed with {closed_with} {reason}, not with {code}")

    # Inside

    def _connected(self) -> Session:
        if self._session is None:
            raise RuntimeError("The client is not connected: use `with`, or call connect().")
        return self._session

    async def _identity(self) -> Identity | None:
        if self._session_key:
            look_up = session_identities.identity_from_session
            identity: Identity = await verification.in_time(look_up, self._session_key)
            return identity
        if self._user is None:
            return None
        return Identity(self._user, scopes=self._scopes)

    async def _call(self, name: str, **body: Any) -> dict[str, Any]:
        """Send a command, and wait for its reply."""
        self._connected()
        await sync_to_async(run_waiting)()
        id = next(self._ids)
        await self._send(msgspec.json.encode({"id": id, name: body}).decode())
        reply = await self._until(lambda: self._replies.pop(id, None), f"{name} was not answered")
        if "error" in reply:
            raise Refused(reply["error"]["code"], reply["error"]["message"])
        found: dict[str, Any] = reply[name]
        return found

    async def _send(self, text: str) -> None:
        rest = self._dispatcher.receive(text)
        if rest is not None:
            await rest

    async def _until(self, look: Any, failure: str, closed: bool = False) -> Any:
        """Wait until `look` finds something, and return it."""
        await sync_to_async(run_waiting)()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while (found := self._look(look)) is None:
                    if self._pipe.closed is not None and not closed:
                        raise Closed(*self._pipe.closed)
                    self._pipe.has_news.clear()
                    await self._pipe.has_news.wait()
        except TimeoutError:
            if not failure:
                raise
            raise TimeoutError(f"{failure} in {WAIT_SECONDS:g} s") from None
        return found

    def _look(self, look: Any) -> Any:
        self._read()
        return look()

    def _next(self, room: str) -> Message | None:
        return next((each for each in self._messages if room in ("", each.room)), None)

    def _read(self) -> None:
        """Sort what has come."""
        frames = self._pipe.frames
        while frames:
            frame = frames.popleft()
            if not frame:
                self._dispatcher.receive(_PROTOCOL.pong)
            elif "push" in frame:
                self._take(frame["push"])
            else:
                self._replies[frame["id"]] = frame

    def _take(self, push: dict[str, Any]) -> None:
        room = push.get("channel", "")
        if "pub" in push:
            self._keep(room, push["pub"])
        elif "unsubscribe" in push:
            told = push["unsubscribe"]
            self.unsubscribed[room] = told["code"], told["reason"]
            self._positions.pop(room, None)
        elif push.get("message", {}).get("data", {}).get("realtime") == "notice":
            self.notices.append(push["message"]["data"]["text"])

    def _enter(self, room: str, reply: dict[str, Any]) -> None:
        self.unsubscribed.pop(room, None)
        self._positions[room] = {"epoch": reply.get("epoch", ""), "offset": reply.get("offset", 0)}
        for publication in reply.get("publications", ()):
            self._keep(room, publication)

    def _keep(self, room: str, publication: dict[str, Any]) -> None:
        user = publication.get("info", {}).get("user", "")
        offset = publication.get("offset", 0)
        self._messages.append(Message(room, publication["data"], user, offset))
        if room in self._positions:
            self._positions[room]["offset"] = offset


def _in(room: str) -> str:
    return f" in {room!r}" if room else ""
