"""Refusals over HTTP: the status and the body for an error of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..codes import CloseCode, Error
from ..protocols import sse
from .asgi import Send
from .http import NEVER_CACHED, Headers, respond

RETRY_AFTER_SECONDS = 1

_OF_ERRORS = {
    Error.TOKEN_EXPIRED.code: (401, "token_expired"),
    Error.PERMISSION_DENIED.code: (403, "permission_denied"),
    Error.LIMIT_EXCEEDED.code: (429, "limit_exceeded"),
    Error.BAD_REQUEST.code: (400, "bad_request"),
}
_OF_CLOSES = {
    CloseCode.EXPIRED: (401, "token_expired"),
    CloseCode.INVALID_TOKEN: (401, "invalid_token"),
    CloseCode.BAD_REQUEST: (400, "bad_request"),
    CloseCode.CONNECTION_LIMIT: (429, "limit_exceeded"),
    CloseCode.ROOM_LIMIT: (429, "limit_exceeded"),
    CloseCode.PERMISSION_DENIED: (403, "permission_denied"),
    CloseCode.FORCED: (403, "permission_denied"),
    CloseCode.TOO_MANY_ERRORS: (403, "permission_denied"),
}
"""Other codes are of what may be different in a moment."""
_UNAVAILABLE = (503, "unavailable")


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no stream. `error` is the code of the wire."""

    status: int
    code: str
    error: int
    message: str

    @classmethod
    def of_error(cls, error: Error) -> Self:
        if error.temporary:
            return cls(*_UNAVAILABLE, error.code, error.message)
        # Other codes are the site's own.
        return cls(*_OF_ERRORS.get(error.code, (403, "rejected")), error.code, error.message)

    @classmethod
    def of_close(cls, code: CloseCode, reason: str) -> Self:
        return cls(*_OF_CLOSES.get(code, _UNAVAILABLE), int(code), reason)

    @classmethod
    def bad_request(cls, message: str) -> Self:
        return cls.of_error(Error(Error.BAD_REQUEST.code, f"bad request: {message}"))

    @property
    def is_temporary(self) -> bool:
        return self.status == _UNAVAILABLE[0]

    async def answer(self, send: Send, headers: Headers, takes_events: bool = False) -> None:
        """Answer with a status and a sentence; a client that takes events gets a stream that ends
        at once, if it should come back: an `EventSource` never does after a status like 503."""
        if self.is_temporary and takes_events:
            events = sse.encode_end(self.error, self.message, is_temporary=True)
            kind = (b"content-type", b"text/event-stream")
            start = {"status": 200, "headers": [NEVER_CACHED, kind, *headers]}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": events.encode()})
            return
        headers = list(headers)
        if self.is_temporary:
            headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="api"'))
        content = {"detail": self.message, "code": self.code, "error": self.error}
        await respond(send, self.status, content, headers)
