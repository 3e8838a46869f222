"""The answers to the commands of a session."""

from __future__ import annotations

from ..codes import CloseCode, Error
from ..conf import realtime_settings
from ..protocols.base import Reply
from ..protocols.frames import Frame, size_of
from ..protocols.requests import Command
from .allowance import charge_reply
from .session import Session

_TOO_LARGE = Error(Error.LIMIT_EXCEEDED.code, "limit exceeded: the reply is too large")


ALONG_BYTES = 4_096
"""Larger replies are not joined to others, because that copies them."""


def reply(session: Session, command: Command, result: Reply | None, *, along: bool = False) -> None:
    """Answer a command that was carried out. If `result` is None, nothing is said.

    With `along`, a small reply leaves in one frame with what else the client gets in this tick.
    """
    session.errors_in_a_row = 0
    if result is None:
        return
    frames = session.protocol.encode_reply(command, result)
    if len(frames) == 1 and size_of(frames[0]) > realtime_settings.OUTBOX_MAX_BYTES:
        refuse(session, command.id, _TOO_LARGE)
        return
    for frame in frames:
        size = size_of(frame)
        if along and size <= ALONG_BYTES:
            _write_along(session, frame)
        else:
            session.write(frame)
        charge_reply(session, size)
    session.release()


def acknowledge(session: Session, command: Command) -> None:
    """Answer a command that was carried out and has no result, in one frame with what else the
    client gets in this tick."""
    session.errors_in_a_row = 0
    for frame in session.protocol.encode_reply(command, {}):
        _write_along(session, frame)


def refuse(session: Session, command: int, error: Error) -> None:
    """Answer the command with this `id`, which was refused."""
    session.write(session.protocol.encode_error(command, error))
    if error.code == Error.BAD_REQUEST.code:
        session.errors_in_a_row += 1
        if session.errors_in_a_row >= realtime_settings.ERRORS_IN_A_ROW:
            session.close(CloseCode.TOO_MANY_ERRORS)


def _write_along(session: Session, frame: Frame) -> None:
    if not session.is_closed:
        session.transport.write_along(frame)
        session.node.hub.ticks.then(session.transport.flush)
