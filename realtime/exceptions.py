"""The errors that this app raises; each carries a code of the wire protocol."""

from collections.abc import Callable

from .codes import APPLICATION_CODES, CloseCode, Error


class RealtimeError(Exception):
    """Base of all errors of this app. `error` is the reply that a client gets."""

    error: Error = Error.INTERNAL
    ambient: bool = False
    """Whether it is about a session that a browser added by itself. A token may still follow."""

    @property
    def code(self) -> int:
        """The reply code of the wire protocol: 100 to 112, or one of the application."""
        return self.error.code


class InvalidPayload(RealtimeError, ValueError):
    """A payload that is not a JSON value, or is larger than `MESSAGE_MAX_BYTES`."""

    error = Error.BAD_REQUEST

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.error = Error(type(self).error.code, f"{type(self).error.message}: {message}")


class PayloadTooLarge(InvalidPayload):
    """A payload larger than `MESSAGE_MAX_BYTES`."""

    error = Error.LIMIT_EXCEEDED


class InvalidRoomName(RealtimeError, ValueError):
    """A room name that is too long or has characters that are not allowed."""

    error = Error.UNKNOWN_CHANNEL


class UnknownRoom(RealtimeError, LookupError):
    """A name that no room has: neither a room type in code nor a room of the database."""

    error = Error.UNKNOWN_CHANNEL


class LayerUnavailable(RealtimeError):
    """The channel layer (Redis) or the database does not answer. Temporary: try again."""


class HookUnavailable(RealtimeError):
    """A function of the site took too long, or waited too long for a thread. Temporary."""


class PartlyUnavailable(LayerUnavailable):
    """Some of several Redis do not answer; the others have done their part. `retry()` does the
    rest, and raises the same error."""

    def __init__(self, message: str, retry: Callable[[], None]) -> None:
        super().__init__(message)
        self.retry = retry


class AuthenticationError(RealtimeError):
    """A credential that is refused; `expired` if the client should get a new one."""

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = Error.TOKEN_EXPIRED if expired else Error.UNAUTHORIZED
        self.close_code = CloseCode.EXPIRED if expired else CloseCode.INVALID_TOKEN


class AuthenticationUnavailable(RealtimeError):
    """The credential could not be checked in time. Temporary: try again."""


class Rejected(RealtimeError):
    """Raised by a hook of the site to refuse a command; the client gets the message.

    `code` is one of the application, from 400 to 1999; without one, the client gets 103. Raises
    `ValueError` for others, which mean something else to the SDKs.
    """

    error = Error.PERMISSION_DENIED

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        if code is not None and code not in APPLICATION_CODES:
            raise ValueError(
                f"{code!r} is not a code for Rejected. Use one from {APPLICATION_CODES[0]} to "
                f"{APPLICATION_CODES[-1]}; other codes belong to the protocol."
            )
        self.error = Error(Error.PERMISSION_DENIED.code if code is None else code, message)
