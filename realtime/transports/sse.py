"""Server-sent events over HTTP: one response that does not end, for each client.

It holds one coroutine of the server and no thread. Everything above the response, from rights to
the limit of what is unsent, is the same as for a WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from ..authentication.credentials import header_values
from ..codes import CloseCode, Error, UnsubscribeCode
from ..conf import realtime_settings
from ..connection.dispatcher import Dispatcher
from ..connection.heartbeat import Heartbeat
from ..connection.inbox import Inbox
from ..connection.opening import leave, open_connection
from ..connection.session import CLOSE_CODES, Session
from ..hub import collector, drain
from ..protocols import sse
from ..protocols.requests import Command, Connect
from ..rooms.publications import Position
from . import servers
from .asgi import Receive, Send
from .http import answer_preflight, cors_headers, respond
from .refusals import Refusal
from .stream_sink import StreamSink

logger = logging.getLogger("realtime.sse")

_PROTOCOL = sse.EventStreamProtocol()
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    # Neither a cache nor a proxy may hold events back, to keep, compress or buffer them.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_ALLOWED_HEADERS = "Authorization, Cache-Control, Last-Event-ID"
CUT_SECONDS = 1
"""How long the server may take to report that a connection is cut."""


async def event_stream(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve the stream that a GET asks for. `JWTAuthMiddleware` has looked at the scope."""
    try:
        rooms, since = _asked_for(scope)
    except ValueError as error:
        await Refusal.bad_request(str(error)).answer(send, cors_headers(scope))
        return
    drain.install()
    collector.tune()
    await _Stream(scope, receive, send, rooms, since).serve()


async def answer_other_method(scope: dict[str, Any], send: Send) -> None:
    """Answer a request that is not a GET."""
    if scope["method"] == "OPTIONS":
        await answer_preflight(scope, send, methods="GET", names=_ALLOWED_HEADERS)
    else:
        wrong = {"detail": "an event stream is read by GET", "code": "method_not_allowed"}
        await respond(send, 405, wrong, [(b"allow", b"GET, OPTIONS")])


class StreamSession(Session):
    """A session whose rooms are those of its URL. One that is lost can't be entered again on the
    same stream."""

    __slots__ = ()

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None:
        if room not in self.rooms:
            return
        super().unsubscribe(room, code, reason)
        if code is not UnsubscribeCode.BY_SERVER:
            self.close(CLOSE_CODES[code], reason)  # it comes back and recovers
        elif not self.rooms and self.late_rooms is None:
            self.close(CloseCode.PERMISSION_DENIED, reason)


class _Stream:
    """The connection of one request."""

    def __init__(
        self, scope: dict[str, Any], receive: Receive, send: Send, rooms: list[str], since: str
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._rooms = rooms
        position = sse.StreamPosition(rooms)
        subs = msgspec.json.encode(_options(rooms, position, since))
        self._connect = Command(0, "connect", Connect(subs=msgspec.Raw(subs)))
        self._sink = StreamSink(send, position)
        self._session, self._outbox = open_connection(scope, self._sink, _PROTOCOL, StreamSession)
        self._dispatcher = Dispatcher(self._session)
        self._heartbeat = Heartbeat(partial(self._session.write, sse.HEARTBEAT))

    async def serve(self) -> None:
        inbox = Inbox(self._dispatcher, on_end=self._leave)
        has_gone = False
        try:
            async with asyncio.timeout(None) as deadline:
                self._sink.on_end = partial(_end_at, deadline, 0)
                self._outbox.on_close = partial(_end_at, deadline, realtime_settings.CLOSE_SECONDS)
                inbox.begin(self._open)
                # A client sends nothing. It can only leave, also while rooms are entered.
                while (event := await self._receive())["type"] != "http.disconnect":
                    if event.get("body"):
                        self._session.close(CloseCode.BAD_REQUEST, "a GET has no body")
            has_gone = True
        except TimeoutError:
            inbox.give_up()
        except asyncio.CancelledError:
            inbox.give_up()
            has_gone = True
            raise
        finally:
            inbox.end()
            await self._outbox.wait_until_over()
            if not has_gone and not self._sink.has_ended:
                await self._finish()

    async def _open(self) -> None:
        session = self._session
        session.open()
        if drain.is_draining():
            session.close(CloseCode.SHUTDOWN)
        if session.is_closed:
            return
        error = await self._dispatcher.run(self._connect)
        if error is not None:
            self._sink.refuse(Refusal.of_error(error))
        elif not session.is_closed:
            await self._begin()

    async def _begin(self) -> None:
        session = self._session
        later = session.late_rooms.names if session.late_rooms is not None else ()
        refused = [name for name in self._rooms if name not in session.rooms and name not in later]
        if len(refused) == len(self._rooms):
            self._sink.refuse(Refusal.of_error(Error.PERMISSION_DENIED))
            return
        session.write(sse.retry(*sse.RETRY_MS))
        for name in refused:
            session.write(_PROTOCOL.encode_refusal(name))
        seconds = realtime_settings.PING_SECONDS + realtime_settings.PONG_SECONDS
        servers.limit_silence(self._send, seconds)
        self._heartbeat.start()
        await self._sink.begin([*_HEADERS, *cors_headers(self._scope)])

    def _leave(self) -> None:
        self._heartbeat.stop()
        leave(self._session, self._outbox)

    async def _finish(self) -> None:
        """The client is still there: it was refused, or does not read the end of its stream."""
        if not self._sink.has_begun:
            refusal = self._sink.refusal or Refusal.of_error(Error.INTERNAL)
            await refusal.answer(self._send, cors_headers(self._scope), _takes_events(self._scope))
            return
        logger.info("a client did not read the end of its stream; its connection is cut")
        servers.cut(self._send)
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS):
                while (await self._receive())["type"] != "http.disconnect":
                    pass


def _asked_for(scope: dict[str, Any]) -> tuple[list[str], str]:
    """The rooms, and the id of the last event that the client has got. Raises `ValueError`."""
    query = scope["query_string"].decode("ascii")
    rooms = sse.rooms_in(query)
    if not rooms:
        raise ValueError("name a room: ?room=")
    if len(rooms) > realtime_settings.ROOMS_PER_CONNECTION:
        raise ValueError(f"at most {realtime_settings.ROOMS_PER_CONNECTION} rooms")
    # The id in the URL stays the same when the browser reconnects.
    ids = header_values(scope, b"last-event-id")
    return rooms, ids[-1] if ids else sse.since_in(query)


def _options(
    rooms: list[str], position: sse.StreamPosition, since: str
) -> dict[str, dict[str, Any]]:
    """The `subs` of a connect."""
    known: dict[str, Position] = {}
    if since:
        try:
            known = position.move_to(since)
        except ValueError:
            known = position.lost()
    return {
        room: {"recover": True, "epoch": known[room].epoch, "offset": known[room].offset}
        if room in known
        else {}
        for room in rooms
    }


def _takes_events(scope: dict[str, Any]) -> bool:
    """Return whether this is an `EventSource`, or one that stands for it."""
    return any("text/event-stream" in value for value in header_values(scope, b"accept"))


def _end_at(deadline: asyncio.Timeout, seconds: float) -> None:
    with suppress(RuntimeError):  # it has ended already
        deadline.reschedule(asyncio.get_running_loop().time() + float(seconds))
