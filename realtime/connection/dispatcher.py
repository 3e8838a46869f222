"""The commands of one connection: each is obeyed after the one before it, and answered."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from ..codes import CloseCode, Error
from ..exceptions import RealtimeError
from ..protocols.base import ProtocolError
from ..protocols.requests import CloseSession, Command, CommandError, MalformedCommand
from .commands import HANDLERS, Handler

if TYPE_CHECKING:
    from .session import Session

logger = logging.getLogger("realtime.dispatcher")


class Dispatcher:
    """Hands the commands of a session to their handlers."""

    __slots__ = ("_session", "is_busy")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.is_busy = False
        """Whether a command is under way."""

    def receive(self, text: str) -> Coroutine[Any, Any, None] | None:
        """Obey the commands of one frame, in order: at once, as far as nothing has to be waited
        for. What is returned is the rest of it, to be awaited before the next frame."""
        session = self._session
        try:
            commands = session.protocol.decode(text)
        except ProtocolError as error:
            session.close(CloseCode.BAD_REQUEST, str(error))
            return None
        for number, command in enumerate(commands):
            if session.publisher.is_full or not self._obeys_at_once(command):
                return self._obey(commands[number:])
        return None

    async def _obey(self, commands: Sequence[Command | MalformedCommand]) -> None:
        publisher = self._session.publisher
        for command in commands:
            if publisher.is_full:
                await publisher.wait()
            if self._session.is_closed:
                return
            if not self._obeys_at_once(command):
                await self.run(command)

    def _obeys_at_once(self, command: Command | MalformedCommand) -> bool:
        """Whether it was a command for which nothing has to be waited, and has been obeyed."""
        if not isinstance(command, Command):
            return False
        if command.name == "publish":
            return self._session.publisher.publish_at_once(command)
        if command.name == "pong" and not self._session.is_connecting:
            self._session.on_pong()
            return True
        return False

    async def run(self, command: Command | MalformedCommand) -> Error | None:
        """Obey one command and write its reply. Returns the error that it was answered with."""
        self.is_busy = True
        try:
            return await self._answer(command)
        finally:
            self.is_busy = False
            self._session.go_if_done()

    async def _answer(self, command: Command | MalformedCommand) -> Error | None:
        try:
            self._spend(command)
            if isinstance(command, MalformedCommand):
                raise command
            result = await self._handler(command)(self._session, command.body)
        except CloseSession as request:
            self._session.close(request.code, request.reason)
            return None
        except (CommandError, RealtimeError) as refused:
            error = refused.error
        except Exception:
            error = _mistake()
        else:
            self._session.reply(command, result)
            return None
        self._session.refuse(command.id, error)
        return error

    def _spend(self, command: Command | MalformedCommand) -> None:
        """Use up one command of the user's allowance."""
        allowance = self._session.hub.commands
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


def _mistake() -> Error:
    """A mistake of ours or of a site's hook: the client gets a number to ask us by."""
    reference = uuid.uuid4().hex[:8]
    logger.exception("a command failed, reference %s", reference)
    message = f"internal server error, reference {reference}"
    return Error(Error.INTERNAL.code, message, temporary=True)
