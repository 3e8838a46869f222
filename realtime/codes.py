"""The codes of the wire protocol: reply errors, close codes, unsubscribe codes.

They are those of the Centrifuge client protocol (https://centrifugal.dev/docs/server/codes), so
its SDKs know whether to reconnect.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Error:
    """The error reply to a command. `temporary`: the same command may succeed later."""

    code: int
    message: str
    temporary: bool = False

    INTERNAL: ClassVar["Error"]
    UNAUTHORIZED: ClassVar["Error"]
    UNKNOWN_CHANNEL: ClassVar["Error"]
    PERMISSION_DENIED: ClassVar["Error"]
    METHOD_NOT_FOUND: ClassVar["Error"]
    ALREADY_SUBSCRIBED: ClassVar["Error"]
    LIMIT_EXCEEDED: ClassVar["Error"]
    BAD_REQUEST: ClassVar["Error"]
    NOT_AVAILABLE: ClassVar["Error"]
    TOKEN_EXPIRED: ClassVar["Error"]
    TOO_MANY_REQUESTS: ClassVar["Error"]
    UNRECOVERABLE_POSITION: ClassVar["Error"]


Error.INTERNAL = Error(100, "internal server error", temporary=True)
Error.UNAUTHORIZED = Error(101, "unauthorized")
Error.UNKNOWN_CHANNEL = Error(102, "unknown channel")
Error.PERMISSION_DENIED = Error(103, "permission denied")
Error.METHOD_NOT_FOUND = Error(104, "method not found")
Error.ALREADY_SUBSCRIBED = Error(105, "already subscribed")
Error.LIMIT_EXCEEDED = Error(106, "limit exceeded")
Error.BAD_REQUEST = Error(107, "bad request")
Error.NOT_AVAILABLE = Error(108, "not available")
Error.TOKEN_EXPIRED = Error(109, "token expired")
Error.TOO_MANY_REQUESTS = Error(111, "too many requests", temporary=True)
Error.UNRECOVERABLE_POSITION = Error(112, "unrecoverable position")


APPLICATION_CODES = range(400, 2000)
"""The codes that errors of a site may have."""


class CloseCode(IntEnum):
    """WebSocket close codes. SDKs reconnect after 3000-3499, and never after 3500-3999."""

    NORMAL = 3000
    SHUTDOWN = 3001
    INTERNAL = 3004
    EXPIRED = 3005
    SLOW = 3008
    INSUFFICIENT_STATE = 3010
    NO_PONG = 3012
    TOO_MANY_REQUESTS = 3013
    STATE_INVALIDATED = 3014
    INVALID_TOKEN = 3500
    BAD_REQUEST = 3501
    STALE = 3502
    FORCED = 3503
    CONNECTION_LIMIT = 3504
    ROOM_LIMIT = 3505
    PERMISSION_DENIED = 3507
    TOO_MANY_ERRORS = 3509

    @property
    def reason(self) -> str:
        return _REASONS[self]


_REASONS = {
    CloseCode.NORMAL: "normal",
    CloseCode.SHUTDOWN: "shutdown",
    CloseCode.INTERNAL: "internal server error",
    CloseCode.EXPIRED: "token expired",
    CloseCode.SLOW: "slow reader",
    CloseCode.INSUFFICIENT_STATE: "insufficient state",
    CloseCode.NO_PONG: "no pong",
    CloseCode.TOO_MANY_REQUESTS: "too many requests",
    CloseCode.STATE_INVALIDATED: "state invalidated",
    CloseCode.INVALID_TOKEN: "invalid token",
    CloseCode.BAD_REQUEST: "bad request",
    CloseCode.STALE: "not authenticated in time",
    CloseCode.FORCED: "disconnected by the server",
    CloseCode.CONNECTION_LIMIT: "connection limit",
    CloseCode.ROOM_LIMIT: "room limit",
    CloseCode.PERMISSION_DENIED: "permission denied",
    CloseCode.TOO_MANY_ERRORS: "too many errors",
}


REASON_MAX_BYTES = 123
"""The longest reason of a close frame (RFC 6455, 5.5)."""


def fitting(reason: str) -> str:
    """Return as much of a reason as a close frame may have."""
    return reason.encode(errors="replace")[:REASON_MAX_BYTES].decode(errors="ignore")


class UnsubscribeCode(IntEnum):
    """Why the server ended a subscription. SDKs resubscribe after 2500 and above."""

    BY_SERVER = 2000
    INSUFFICIENT_STATE = 2500
    EXPIRED = 2501
    STATE_INVALIDATED = 2502
