"""The state of a room, which the site's `get_state` computes for a client that enters."""

from __future__ import annotations

import logging
import uuid

import msgspec

from ..codes import Error
from ..exceptions import HookUnavailable, RealtimeError, Rejected
from ..protocols.requests import CommandError
from ..rooms.finding import AnyRoom
from ..rooms.handlers import has_state_hook, run_state_hook
from ..rooms.payloads import raw
from ..rooms.room_types import CodeRoom
from ..sparse_log import SparseLogs
from .batches import Turn
from .session import Session

logger = logging.getLogger("realtime.states")
_unavailable = SparseLogs(logger)


class NoState(CommandError):
    """The hook raises, or refuses to tell the state: the room is not entered."""


class StateLater(RealtimeError):
    """The states of the rooms of a connect are more than one reply may hold. Temporary."""


async def compute(session: Session, room: AnyRoom, turn: Turn | None) -> msgspec.Raw | None:
    """Return the state of a room, None if its type has no `get_state`. Raises `NoState`, and
    `HookUnavailable` if it can't be computed now."""
    if not isinstance(room, CodeRoom) or not has_state_hook(room):
        return None
    if turn is None:
        return await _compute(session, room)
    async with turn.rules:  # one client takes one thread at a time
        return await _compute(session, room)


async def _compute(session: Session, room: CodeRoom) -> msgspec.Raw:
    hook = f"{type(room.type).__qualname__}.get_state"
    try:
        return raw(await run_state_hook(room, session.caller.user, session.user_id))
    except Rejected as rejected:
        raise NoState(rejected.error) from rejected
    except HookUnavailable as error:
        _unavailable.warning(hook, "%s: the room %r is not entered now", error, room.name)
        raise
    except Exception as error:
        reference = uuid.uuid4().hex[:8]
        logger.exception(
            "%s failed for the user %s in the room %r, which is not entered; reference %s",
            *(hook, session.user_id or "(anonymous)", room.name, reference),
        )
        message = f"internal server error, reference {reference}"
        raise NoState(Error(Error.INTERNAL.code, message, temporary=True)) from error
