"""The Engine.IO sessions of one process, and questions about those of others.

A request may reach any process of the site. One for a session of another process is passed on, so
that a load balancer need not know about sessions.
"""

from __future__ import annotations

import logging
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ..conf import realtime_settings
from ..hub.node import Node, get_node
from ..protocols.engineio import PayloadError, Refused
from . import session_ids
from .far_sockets import FarSocket
from .polling import OverlapError, PollingSession
from .probing import Probe
from .relay import Body, Relay

logger = logging.getLogger("realtime.engineio")

PATIENCE_SECONDS = 5
"""Another process may answer a poll so much later than at the next ping."""
_PLAIN = "text/plain; charset=UTF-8"
_JSON = "application/json"
DIFFERS = 0
"""Stands for a status: the request brings another credential than the first one did."""


class Answer(NamedTuple):
    """What a request gets: a status and a text."""

    status: int
    body: str
    kind: str = _PLAIN


def refusal(refused: Refused, status: int = 400) -> Answer:
    return Answer(status, refused.body, _JSON)


class Sessions:
    """The Engine.IO sessions of one process and event loop."""

    def __init__(self, node: Node) -> None:
        self.process = node.registry.process.id
        self.relay = Relay(node.layer, self.process, self._carry_out, self._on_lost)
        self._sessions: dict[str, PollingSession] = {}
        self._far_sockets: dict[str, FarSocket] = {}
        """Connections that other processes hold, by their ids."""

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, sid: str) -> PollingSession | None:
        return self._sessions.get(sid)

    def new(self, credential: str) -> PollingSession:
        session = PollingSession(session_ids.new(self.process), credential)
        self._sessions[session.sid] = session
        session.on_end = lambda: self._forget(session.sid)
        return session

    def _forget(self, sid: str) -> None:
        self._sessions.pop(sid, None)

    async def answer(self, question: Body) -> Answer:
        """Answer a request, here or in the process whose session it is for."""
        process = session_ids.process_of(question["sid"])
        if process == self.process:
            return await self._answer(question)
        if not process:
            return refusal(Refused.UNKNOWN_SID)
        patience = realtime_settings.PING_SECONDS + realtime_settings.PONG_SECONDS
        answer = await self.relay.ask(process, question, patience + PATIENCE_SECONDS)
        return refusal(Refused.UNKNOWN_SID) if answer is None else Answer(**answer)

    async def _carry_out(self, question: Body) -> Body:
        status, body, kind = await self._answer(question)
        return {"status": status, "body": body, "kind": kind}

    def _on_lost(self, question: Body) -> None:
        """What was taken for a request has not arrived."""
        session = self.get(question.get("sid", ""))
        if session is not None:
            session.end()

    async def _answer(self, question: Body) -> Answer:
        if question["method"] == "SAY":
            return await self._hear(question)
        session = self.get(question["sid"])
        if session is None:
            return refusal(Refused.UNKNOWN_SID)
        match is_of(session, question["credential"], question["user"]):
            case None:
                return Answer(DIFFERS, "")
            case False:
                return refusal(Refused.UNKNOWN_SID)
        if session.is_upgraded:
            return refusal(Refused.BAD_REQUEST)
        if question["method"] == "UPGRADE":
            return self._begin_upgrade(session, question)
        try:
            if question["method"] == "GET":
                return Answer(200, await session.poll())
            if question["body"] is None:
                session.end()
                return Answer(413, "")
            await session.take(question["body"])
        except (OverlapError, PayloadError) as error:
            logger.info("an Engine.IO session ends: %s", error or type(error).__name__)
            return refusal(Refused.BAD_REQUEST)
        return Answer(200, "ok", "text/html")

    def _begin_upgrade(self, session: PollingSession, question: Body) -> Answer:
        """The client tries a WebSocket that another process holds."""
        if session.is_probed:
            return refusal(Refused.BAD_REQUEST)
        id, process = question["socket"], question["process"]
        socket = FarSocket(self.relay, process, id, lambda: self._forget_socket(id))
        self._far_sockets[id] = socket
        Probe(session, socket)
        return Answer(200, "")

    def _forget_socket(self, id: str) -> None:
        self._far_sockets.pop(id, None)

    async def _hear(self, question: Body) -> Answer:
        """Take what a client has sent over a WebSocket that another process holds."""
        socket = self._far_sockets.get(question["socket"])
        if socket is None:
            return refusal(Refused.UNKNOWN_SID)
        await socket.take(question["body"])
        return Answer(200, "")


def is_of(session: PollingSession, credential: str, user: str | None) -> bool | None:
    """Return whether a request belongs to a session: its credential is the one of the session, or
    proves the same user. None if the user has to be found out.

    A client that authenticates later, over its session, brings none at all. And python-socketio
    sends an `Authorization` header with the first request only.
    """
    if credential == session.credential:
        return True
    if not credential:
        return session.credential.startswith("header:")
    if user is None:
        return None
    if user != session.user_id:
        return False
    session.credential = credential  # a newer token, which comes with all that follow
    return True


_of_nodes: WeakKeyDictionary[Node, Sessions] = WeakKeyDictionary()


def get_sessions() -> Sessions:
    node = get_node()
    sessions = _of_nodes.get(node)
    if sessions is None:
        sessions = _of_nodes[node] = Sessions(node)
    return sessions
