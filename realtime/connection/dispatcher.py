"""The commands of one connection: each is carried out after the one before it, and answered."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from ..codes import CloseCode, Error
from ..concurrency.eager import Rest
from ..conf import realtime_settings
from ..exceptions import RealtimeError, Rejected
from ..protocols.base import ProtocolError
from ..protocols.frames import Message
from ..protocols.requests import (
    CloseSession,
    Command,
    CommandError,
    RefusedCommand,
    Subscribe,
)
from .allowance import charge
from .batches import Turn, parts, turns
from .commands import HANDLERS, Handler, subscribe
from .publisher import Publisher
from .refusal_log import log_refusal, log_refused_credential
from .replies import refuse, reply
from .session import Session

logger = logging.getLogger("realtime.dispatcher")

COMMANDS_PER_FRAME = 500
Step = Command | RefusedCommand | CloseSession
"""What a part of a frame is: a command, or what becomes of it instead."""

_PONG = Command(0, "pong")


class Dispatcher:
    """Hands the commands of a session to their handlers."""

    __slots__ = ("_publisher", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._publisher = Publisher(session)

    def receive(self, message: Message) -> Rest | None:
        """Carry out the commands of one message, in order."""
        session = self._session
        if session.is_closed:
            return None  # what comes after our close, until the client answers it
        if not isinstance(message, session.protocol.message_types):
            wanted = "binary" if isinstance(message, str) else "text"
            session.close(CloseCode.BAD_REQUEST, f"{wanted} frames only")
        elif _is_larger(message, realtime_settings.FRAME_MAX_BYTES):
            session.close(CloseCode.BAD_REQUEST, "the frame is too large")
        else:
            return self._receive(message)
        return None

    def charge(self, frames: int) -> None:
        """Charge frames that get no answer, each as a command."""
        for _ in range(frames):
            if self._session.is_closed:
                return
            try:
                charge(self._session)
            except CommandError:
                pass
            except CloseSession as request:
                self._session.close(request.code, request.reason)

    def fail(self) -> None:
        """End the session for a mistake of ours, which was logged."""
        self._session.close(CloseCode.INTERNAL)

    async def run(self, step: Command | RefusedCommand) -> Error | None:
        """Carry out one command, which was in no frame. Return the error if it was refused."""
        try:
            charge(self._session)
        except CommandError as refused:
            return await self._run(RefusedCommand(step.id, refused.error))
        except CloseSession as close:
            return await self._run(close)
        return await self._run(step)

    async def _run(self, step: Step, turn: Turn | None = None) -> Error | None:
        """Carry out one command and write its reply. Return the error if it was refused."""
        self._session.pending += 1
        try:
            return await self._answer(step, turn)
        finally:
            self._session.finish()
            if turn is not None:
                turn.end()

    def _receive(self, message: Any) -> Rest | None:
        session = self._session
        separator = session.protocol.separator
        if separator is None or separator not in message:
            step = self._read(message)
            if self._publisher.is_full or not self._try_at_once(step):
                return self._run_all(((step,),))
            return None
        # The subscribes with which an SDK comes back are one frame.
        most = max(COMMANDS_PER_FRAME, 2 * realtime_settings.ROOMS_PER_CONNECTION)
        try:
            lines = session.protocol.split(message, most)
        except ProtocolError as error:
            session.close(CloseCode.BAD_REQUEST, str(error))
            return None
        # Each is read when those before it are begun: what a client may not do is never read.
        steps = map(self._read, lines)
        for step in steps:
            if self._publisher.is_full or not self._try_at_once(step):
                return self._run_all(parts(chain((step,), steps), options=_subscription))
            if session.is_closed:
                break
        return None

    def _read(self, line: Message) -> Step:
        """Read a command, if one more is allowed."""
        session = self._session
        if line and line == session.protocol.pong:
            return _PONG  # it is not charged, because it may answer a ping
        try:
            charge(session, size=len(line) if line.isascii() else _bytes_in(line))
            return session.protocol.decode(line)
        except CommandError as refused:
            return RefusedCommand(session.protocol.id_in(line), refused.error)
        except CloseSession as close:
            return close
        except ProtocolError as error:
            return CloseSession(CloseCode.BAD_REQUEST, str(error))

    async def _run_all(self, steps: Iterable[Sequence[Step]]) -> None:
        for part in steps:
            if self._publisher.is_full:
                await self._publisher.wait()
            if self._session.is_closed:
                return
            if len(part) > 1 and not self._session.is_connecting:
                await self._run_together(part)
                continue
            if self._try_at_once(part[0]):
                continue
            error = await self._run(part[0])
            if error is not None and self._session.is_connecting:
                # Many SDKs send connect and subscribes in one frame. The client connects again, for
                # example with a newer token: what is behind a connect that was refused is void.
                return

    async def _run_together(self, subscribes: Sequence[Step]) -> None:
        """Carry out subscribes: all are prepared at the same time, and answered in order."""
        async with asyncio.TaskGroup() as group:
            for command, turn in zip(subscribes, turns(len(subscribes)), strict=True):
                group.create_task(self._run(command, turn))

    def _try_at_once(self, step: Step) -> bool:
        """Carry out a command that needs no waiting. Return whether it was one."""
        if not isinstance(step, Command):
            return False
        if step.name == "publish":
            return self._publisher.try_publish(step)
        if step.name == "pong" and not self._session.is_connecting:
            if not self._session.on_pong():
                self.charge(1)  # it answers no ping
            return True
        return step.name == "part"  # of a command that is not whole yet

    async def _answer(self, step: Step, turn: Turn | None) -> Error | None:
        id = 0 if isinstance(step, CloseSession) else step.id
        try:
            if not isinstance(step, Command):
                raise step
            if turn is None:
                result = await self._handler(step)(self._session, step.body)
            else:
                result = await subscribe(self._session, step.body, turn)
        except CloseSession as request:
            if turn is not None:
                await turn.wait()
            log_refused_credential(self._session, request)
            self._session.close(request.code, request.reason)
            return None
        except (CommandError, RealtimeError) as refused:
            error = refused.error
            if not isinstance(refused, Rejected):
                log_refusal(self._session, *_name_of(step), error)
        except Exception:
            error = _mistake()
        else:
            # The replies to subscribes that came together are ready together.
            reply(self._session, step, result, along=turn is not None)
            return None
        if turn is not None:
            await turn.wait()
        refuse(self._session, id, error)
        return error

    def _handler(self, command: Command) -> Handler:
        if self._session.is_connecting and command.name != "connect":
            raise CloseSession(CloseCode.BAD_REQUEST, "the first command is connect")
        handler = self._session.own_handlers.get(command.name) or HANDLERS.get(command.name)
        if handler is None:
            raise CommandError(Error.NOT_AVAILABLE)
        return handler


def _name_of(step: Step) -> tuple[str, str]:
    """Return the name of a command, and the room or method that it names."""
    if not isinstance(step, Command):
        return "", ""
    body = step.body
    return step.name, str(getattr(body, "channel", "") or getattr(body, "method", ""))


def _subscription(step: Step) -> Subscribe | None:
    body = step.body if isinstance(step, Command) else None
    return body if isinstance(body, Subscribe) else None


def _is_larger(message: Message, size: int) -> bool:
    """Return whether a message has more than so many bytes, a text in UTF-8."""
    if message.isascii() or 4 * len(message) <= size:
        return len(message) > size
    return len(message) > size or _bytes_in(message) > size


def _bytes_in(message: Message) -> int:
    return len(message.encode(errors="replace") if isinstance(message, str) else message)


def _mistake() -> Error:
    """A mistake of ours or of a site's hook: the client gets a number to ask us by."""
    reference = uuid.uuid4().hex[:8]
    logger.exception("a command failed, reference %s", reference)
    message = f"internal server error, reference {reference}"
    return Error(Error.INTERNAL.code, message, temporary=True)
