"""The commands of one connection: each is carried out after the one before it, and answered."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence

from ..codes import CloseCode, Error
from ..concurrency.eager import Rest
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..protocols.base import ProtocolError
from ..protocols.requests import (
    CloseSession,
    Command,
    CommandError,
    MalformedCommand,
    Subscribe,
)
from .batches import Turn, parts, turns
from .commands import HANDLERS, Handler, subscribe
from .publisher import Publisher
from .replies import refuse, reply
from .session import Session

logger = logging.getLogger("realtime.dispatcher")


class Dispatcher:
    """Hands the commands of a session to their handlers."""

    __slots__ = ("_publisher", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._publisher = Publisher(session)

    def receive(self, text: str | None) -> Rest | None:
        """Carry out the commands of one frame, in order; None is a frame that is not text."""
        session = self._session
        if session.is_closed:
            return None  # what comes after our close, until the client answers it
        if text is None:
            session.close(CloseCode.BAD_REQUEST, "text frames only")
        elif len(text) > realtime_settings.FRAME_MAX_BYTES:
            session.close(CloseCode.BAD_REQUEST, "the frame is too large")
        else:
            return self._receive_text(text)
        return None

    def fail(self) -> None:
        """End the session for a mistake of ours, which was logged."""
        self._session.close(CloseCode.INTERNAL)

    async def run(
        self, command: Command | MalformedCommand, turn: Turn | None = None
    ) -> Error | None:
        """Carry out one command and write its reply. Return the error if it was refused."""
        self._session.pending += 1
        try:
            return await self._answer(command, turn)
        finally:
            self._session.finish()
            if turn is not None:
                turn.end()

    def _receive_text(self, text: str) -> Rest | None:
        try:
            commands = self._session.protocol.decode(text)
        except ProtocolError as error:
            self._session.close(CloseCode.BAD_REQUEST, str(error))
            return None
        for number, command in enumerate(commands):
            if self._publisher.is_full or not self._try_at_once(command):
                return self._run_all(commands[number:])
        return None

    async def _run_all(self, commands: Sequence[Command | MalformedCommand]) -> None:
        for part in parts(commands, options=_subscription) if len(commands) > 1 else [commands]:
            if self._publisher.is_full:
                await self._publisher.wait()
            if self._session.is_closed:
                return
            if len(part) > 1 and not self._session.is_connecting:
                await self._run_together(part)
                continue
            if self._try_at_once(part[0]):
                continue
            error = await self.run(part[0])
            if error is not None and self._session.is_connecting:
                # Many SDKs send connect and subscribes in one frame. The client connects again, for
                # example with a newer token: what is behind a connect that was refused is void.
                return

    async def _run_together(self, subscribes: Sequence[Command | MalformedCommand]) -> None:
        """Carry out subscribes: all are prepared at the same time, and answered in order."""
        async with asyncio.TaskGroup() as group:
            for command, turn in zip(subscribes, turns(len(subscribes)), strict=True):
                group.create_task(self.run(command, turn))

    def _try_at_once(self, command: Command | MalformedCommand) -> bool:
        """Carry out a command that needs no waiting. Return whether it was one."""
        if not isinstance(command, Command):
            return False
        if command.name == "publish":
            return self._publisher.try_publish(command)
        if command.name == "pong" and not self._session.is_connecting:
            self._session.on_pong()
            return True
        return False

    async def _answer(self, command: Command | MalformedCommand, turn: Turn | None) -> Error | None:
        try:
            self._spend(command)
            if isinstance(command, MalformedCommand):
                raise command
            if turn is None:
                result = await self._handler(command)(self._session, command.body)
            else:
                result = await subscribe(self._session, command.body, turn)
        except CloseSession as request:
            if turn is not None:
                await turn.wait()
            self._session.close(request.code, request.reason)
            return None
        except (CommandError, RealtimeError) as refused:
            error = refused.error
        except Exception:
            error = _mistake()
        else:
            reply(self._session, command, result)
            return None
        if turn is not None:
            await turn.wait()
        refuse(self._session, command.id, error)
        return error

    def _spend(self, command: Command | MalformedCommand) -> None:
        """Use up one command of the user's allowance."""
        allowance = self._session.node.command_limit
        user = self._session.user_id or self._session.id
        if allowance.take(user):
            return
        if allowance.is_exhausted(user):
            raise CloseSession(CloseCode.TOO_MANY_REQUESTS)
        raise CommandError(Error.TOO_MANY_REQUESTS)

    def _handler(self, command: Command) -> Handler:
        if self._session.is_connecting and command.name != "connect":
            raise CloseSession(CloseCode.BAD_REQUEST, "the first command is connect")
        handler = HANDLERS.get(command.name)
        if handler is None:
            raise CommandError(Error.NOT_AVAILABLE)
        return handler


def _subscription(command: Command | MalformedCommand) -> Subscribe | None:
    body = command.body if isinstance(command, Command) else None
    return body if isinstance(body, Subscribe) else None


def _mistake() -> Error:
    """A mistake of ours or of a site's hook: the client gets a number to ask us by."""
    reference = uuid.uuid4().hex[:8]
    logger.exception("a command failed, reference %s", reference)
    message = f"internal server error, reference {reference}"
    return Error(Error.INTERNAL.code, message, temporary=True)
