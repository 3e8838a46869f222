"""What the commands of a connection use up of the allowance of its user."""

from __future__ import annotations

from ..codes import CloseCode, Error
from ..conf import realtime_settings
from ..protocols.requests import CloseSession, CommandError
from .session import Session

SMALL_BYTES = 256
"""Commands up to this size are limited by their number alone."""
REFUSAL_COST = 20
"""Commands that a look-up costs which ends in a refusal: it takes milliseconds, and nobody needs
many."""
REPLY_BYTES = 8_192
"""A reply costs one more command for each so many bytes."""
STRANGERS_COMMANDS = 10
"""A client that is not authenticated may try so often: at a connect with an expired token, say."""


def charge(session: Session, cost: int = 1, size: int = 0) -> None:
    """Use up `cost` commands of `size` bytes together, before any work is done for them.

    Raises `CommandError` if they are not allowed now, and `CloseSession` if the user goes on for
    twice the burst.
    """
    node = session.node
    allowance = node.command_limit
    user = session.user_id
    if not user:
        user = session.id
        if session.identity is None:
            cost = max(cost, realtime_settings.COMMANDS_BURST // STRANGERS_COMMANDS)
    if allowance.take(user, cost):
        if size <= SMALL_BYTES or node.byte_limit.take(user, size):
            return
        raise CommandError(Error.TOO_MANY_REQUESTS)
    if allowance.is_exhausted(user):
        raise CloseSession(CloseCode.TOO_MANY_REQUESTS)
    raise CommandError(Error.TOO_MANY_REQUESTS)


def charge_refusal(session: Session) -> None:
    """Use up more for a right that was looked up in vain."""
    session.node.command_limit.owe(session.user_id or session.id, REFUSAL_COST - 1)


def charge_reply(session: Session, size: int) -> None:
    """Use up more for a large reply, such as a list of those present."""
    if size >= REPLY_BYTES:
        session.node.command_limit.owe(session.user_id or session.id, size // REPLY_BYTES)
