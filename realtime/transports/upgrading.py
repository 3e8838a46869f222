"""The change of a polling client to a WebSocket, as Engine.IO's clients make it.

The client opens a WebSocket with the id of its session, and asks over it whether it works
("2probe", "3probe"). Then it waits for the end of its poll, and says that it changes ("5"). Until
then the session polls; if the client stops half way, it goes on polling.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from ..authentication import origins
from . import servers, session_ids
from .asgi import Receive, Send
from .engineio import credential_of, query_of, user_of
from .events import EventSocket
from .far_sockets import Passage
from .polling import PollingSession
from .polling_sessions import DIFFERS, Sessions, get_sessions, is_of
from .probing import NORMAL_CLOSURE, Probe
from .relay import Body

logger = logging.getLogger("realtime.engineio")


def is_upgrade(scope: dict[str, Any]) -> bool:
    """Return whether a WebSocket is for a session that began with polling."""
    path: str = scope["path"]
    return path.rstrip("/").endswith("/socket.io") and "sid" in query_of(scope)


async def upgrade(
    scope: dict[str, Any],
    receive: Receive,
    send: Send,
    authenticate: Callable[[Any], Any],
    get_sessions: Callable[[], Sessions] = get_sessions,
) -> None:
    """Serve a WebSocket whose URL has the id of a session. `authenticate` is `JWTAuthMiddleware`.

    What is refused is refused before it is accepted; the client goes on polling.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    sessions = get_sessions()
    scope = servers.with_scheme(scope, send)
    sid = query_of(scope)["sid"]
    process = session_ids.process_of(sid)
    session, id = sessions.get(sid), uuid.uuid4().hex
    if (reason := origins.refusal(scope)) is not None:
        logger.info("refused a WebSocket: %s", reason)
        may = False
    elif process == sessions.process:
        may = session is not None and await _may_have(scope, session, authenticate)
    else:
        may = await _ask(scope, sessions, sid, id, authenticate)
    if not may:
        await send({"type": "websocket.close", "code": NORMAL_CLOSURE})
        return
    await send({"type": "websocket.accept", "subprotocol": None})
    taken = servers.take_over(receive, send)
    socket = taken or (events := EventSocket(receive, send))
    if process != sessions.process:
        Passage(sessions.relay, process, id, socket)
    elif session is not None:
        Probe(session, socket)
    if taken is None:
        try:
            await events.run()
        finally:
            if session is not None and session.is_upgraded:
                await session.wait_until_over()


async def _may_have(
    scope: dict[str, Any], session: PollingSession, authenticate: Callable[[Any], Any]
) -> bool:
    """Return whether a WebSocket may have the session that it asks for."""
    credential = credential_of(scope)
    is_its_own = is_of(session, credential, None)
    if is_its_own is None:
        is_its_own = is_of(session, credential, await user_of(scope, authenticate) or "-")
    return bool(is_its_own) and session.is_polling


async def _ask(
    scope: dict[str, Any],
    sessions: Sessions,
    sid: str,
    id: str,
    authenticate: Callable[[Any], Any],
) -> bool:
    """As `_may_have`, for a session of another process, which is ready for the connection then."""
    question: Body = {"sid": sid, "method": "UPGRADE", "body": None, "user": None}
    question |= {"socket": id, "process": sessions.process, "credential": credential_of(scope)}
    answer = await sessions.answer(question)
    if answer.status == DIFFERS:
        user = await user_of(scope, authenticate) or "-"
        answer = await sessions.answer(question | {"user": user})
    return answer.status == 200
