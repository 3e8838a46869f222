"""Engine.IO over HTTP: the requests of clients that poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import parse_qsl

from django.utils.crypto import salted_hmac

from ..authentication import credentials, origins
from ..conf import realtime_settings
from ..exceptions import AuthenticationError, LayerUnavailable
from ..hub import collector, drain
from ..protocols.engineio import VERSION, Refused, open_packet
from . import http, servers
from .asgi import Receive, Send
from .polling import PollingSession
from .polling_sessions import DIFFERS, Answer, Sessions, get_sessions, refusal
from .relay import Body

logger = logging.getLogger("realtime.engineio")

_ALLOWED_HEADERS = "Authorization, Content-Type, X-CSRFToken, X-Requested-With"


class Opener(Protocol):
    """What begins the session of a client that polls."""

    def open_polling(self, scope: dict[str, Any], polling: PollingSession) -> None:
        """Begin a session for a scope that `JWTAuthMiddleware` has looked at."""
        ...


class EngineIO:
    """An ASGI application for the requests of clients that poll.

    `authenticate` is `JWTAuthMiddleware`: it wraps an application.
    """

    def __init__(
        self,
        opener: Opener,
        authenticate: Callable[[Any], Any],
        sessions: Callable[[], Sessions] = get_sessions,
    ) -> None:
        self._opener = opener
        self._sessions = sessions
        self._authenticate = authenticate
        self._handshake = authenticate(self._begin)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        servers.mask_access_log(send)
        method = scope["method"]
        if method == "OPTIONS":
            await http.answer_preflight(scope, send, methods="GET, POST", names=_ALLOWED_HEADERS)
            return
        if method == "GET":
            scope = origins.with_page_origin(scope)
        if (reason := origins.refusal(scope)) is not None:
            logger.info("refused a request: %s", reason)
            await _respond(scope, send, refusal(Refused.FORBIDDEN, 403), is_readable=False)
            return
        query = query_of(scope)
        refused = _refused(method, query)
        if refused is not None:
            await _respond(scope, send, refusal(refused))
        elif "sid" in query:
            await self._pass_on(scope, receive, send, query["sid"])
        else:
            await self._handshake(scope, receive, send)

    async def _begin(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        drain.install()
        collector.tune()
        sessions = self._sessions()
        with suppress(LayerUnavailable):  # other processes can't pass requests on then
            await sessions.relay.open()
        session = sessions.new(credential_of(scope))
        try:
            session.sink.write_frame(open_packet(session.sid, ("websocket",)))
            self._opener.open_polling(scope, session)
            poll = await session.poll()
        except BaseException:
            session.end()
            raise
        await _respond(scope, send, Answer(200, poll))

    async def _pass_on(self, scope: dict[str, Any], receive: Receive, send: Send, sid: str) -> None:
        question: Body = {"sid": sid, "method": scope["method"], "body": None, "user": None}
        question["credential"] = credential_of(scope)
        if scope["method"] == "POST":
            try:
                async with asyncio.timeout(_patience()):
                    question["body"] = await _body(scope, receive)
            except _Gone:
                return
            except TimeoutError:
                await _respond(scope, send, Answer(408, ""))
                return
            if question["body"] is None:  # of which nothing more is read
                receive = _never
        answer = await _unless_gone(self._sessions().answer(question), receive)
        if answer is not None and answer.status == DIFFERS:
            user = await user_of(scope, self._authenticate)
            if user is None:
                answer = refusal(Refused.UNKNOWN_SID)
            else:
                answer = await _unless_gone(
                    self._sessions().answer(question | {"user": user}), receive
                )
        if answer is not None:
            await _respond(scope, send, answer)


def query_of(scope: dict[str, Any]) -> dict[str, str]:
    """The query of a URL; of a key that stands there twice, the last value."""
    try:
        return dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True))
    except (UnicodeError, ValueError):
        return {}


def credential_of(scope: dict[str, Any]) -> str:
    """The way of the credential of a request, and its digest; "" without one."""
    try:
        found = credentials.find(scope)
    except AuthenticationError as error:
        way, text = "refused", str(error)
    else:
        if found is None:
            return ""
        way, text = found.way, found.value
    digest = salted_hmac("realtime.engineio", text, algorithm="sha256").hexdigest()
    return f"{way}:{digest}"


async def user_of(scope: dict[str, Any], authenticate: Callable[[Any], Any]) -> str | None:
    """Return the user whom the credential of a request proves; None if it proves nobody."""
    found: dict[str, Any] = {}

    async def keep(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        found.update(scope)

    async def nothing() -> dict[str, Any]:
        return {"type": ""}

    async def drop(message: dict[str, Any]) -> None:
        """The middleware refuses the request; we answer as Engine.IO does."""

    await authenticate(keep)(scope, nothing, drop)
    identity = found.get("identity")
    return None if identity is None else identity.user_id


def _refused(method: str, query: dict[str, str]) -> Refused | None:
    """The reason to refuse a request for what its URL says, in the order of Engine.IO's server."""
    transport = query.get("transport")
    is_new = "sid" not in query
    if transport not in ("polling", "websocket"):
        return Refused.UNKNOWN_TRANSPORT
    if method not in ("GET", "POST") or (is_new and method != "GET"):
        return Refused.BAD_METHOD
    if transport == "websocket":
        return Refused.BAD_REQUEST
    if query.get("EIO") != VERSION:
        return Refused.UNSUPPORTED_VERSION if is_new else Refused.BAD_REQUEST
    return None


def _patience() -> float:
    """So long after its last sign of life a session ends; no request takes longer to come."""
    return float(realtime_settings.PING_SECONDS + realtime_settings.PONG_SECONDS)


class _Gone(Exception):
    """The client has gone while its request was read."""


async def _body(scope: dict[str, Any], receive: Receive) -> str | None:
    """Read the body of a request; None if it is too large. Raises `_Gone`."""
    most = realtime_settings.FRAME_MAX_BYTES
    length = credentials.header_values(scope, b"content-length")
    if length and length[0].isdecimal() and int(length[0]) > most:
        return None
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        body += event.get("body", b"")
        if len(body) > most:
            return None
        if not event.get("more_body"):
            break
    # What is not UTF-8 is no payload either.
    return body.decode(errors="replace") if body else ""


async def _unless_gone(answer: Awaitable[Answer], receive: Receive) -> Answer | None:
    """Wait for an answer; return None if the client goes away first."""
    answering = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        return None
    finally:
        answering.cancel()
        watching.cancel()
        await asyncio.wait({answering, watching})


async def _never() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(
    scope: dict[str, Any], send: Send, answer: Answer, *, is_readable: bool = True
) -> None:
    headers = [
        http.NEVER_CACHED,
        (b"content-type", answer.kind.encode()),
        (b"content-length", str(len(body := answer.body.encode())).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if is_readable:
        headers += http.cors_headers(scope)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
