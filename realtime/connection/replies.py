"""The answers to the commands of a session."""

from __future__ import annotations

from ..codes import CloseCode, Error
from ..conf import realtime_settings
from ..protocols.base import Reply
from ..protocols.frames import size_of
from ..protocols.requests import Command
from .allowance import charge_reply
from .session import Session

_TOO_LARGE = Error(Error.LIMIT_EXCEEDED.code, "limit exceeded: the reply is too large")


def reply(session: Session, command: Command, result: Reply | None) -> None:
    """Answer a command that was carried out. If `result` is None, nothing is said."""
    session.errors_in_a_row = 0
    if result is None:
        return
    frames = session.protocol.encode_reply(command, result)
    if len(frames) == 1 and size_of(frames[0]) > realtime_settings.OUTBOX_MAX_BYTES:
        refuse(session, command.id, _TOO_LARGE)
        return
    for frame in frames:
        session.write(frame)
        charge_reply(session, size_of(frame))
    session.release()


def acknowledge(session: Session, command: Command) -> None:
    """Answer a command that was carried out and has no result, in one frame with what else the
    client gets in this tick."""
    session.errors_in_a_row = 0
    if not session.is_closed:
        for frame in session.protocol.encode_reply(command, {}):
            session.transport.write_along(frame)
            session.node.hub.ticks.then(session.transport.flush)


def refuse(session: Session, command: int, error: Error) -> None:
    """Answer the command with this `id`, which was refused."""
    session.write(session.protocol.encode_error(command, error))
    if error.code == Error.BAD_REQUEST.code:
        session.errors_in_a_row += 1
        if session.errors_in_a_row >= realtime_settings.ERRORS_IN_A_ROW:
            session.close(CloseCode.TOO_MANY_ERRORS)
