"""The errors of the endpoints: each answer has a sentence and a code, `{detail, code}`."""

from __future__ import annotations

from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler

from ..codes import Error
from ..exceptions import InvalidPayload, InvalidRoomName, PayloadTooLarge, RealtimeError

_ANSWERS: dict[int, tuple[int, str]] = {
    Error.PERMISSION_DENIED.code: (status.HTTP_403_FORBIDDEN, "permission_denied"),
    Error.NOT_AVAILABLE.code: (status.HTTP_409_CONFLICT, "not_available"),
    Error.UNRECOVERABLE_POSITION.code: (status.HTTP_410_GONE, "unrecoverable_position"),
    Error.LIMIT_EXCEEDED.code: (status.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "limit_exceeded"),
    Error.BAD_REQUEST.code: (status.HTTP_400_BAD_REQUEST, "bad_request"),
}
"""The status and the `code` for errors of the wire protocol."""


class RefusedRequest(APIException):
    """A request that is answered with an error of the wire protocol, whose number is `error`."""

    def __init__(self, error: Error) -> None:
        if error.temporary:
            self.status_code, code = status.HTTP_503_SERVICE_UNAVAILABLE, "unavailable"
        else:
            # Other codes are the site's own, of a `Rejected`.
            own = (status.HTTP_403_FORBIDDEN, "rejected")
            self.status_code, code = _ANSWERS.get(error.code, own)
        super().__init__(error.message, code)
        self.error = error


def bad_request(message: str) -> RefusedRequest:
    return RefusedRequest(Error(Error.BAD_REQUEST.code, message))


def handle(exception: Exception, context: Any) -> Response | None:
    """As DRF's handler, with our own errors, and with a `code` in each answer."""
    if isinstance(exception, RealtimeError):
        exception = RefusedRequest(_error_of(exception))
    response = exception_handler(exception, context)
    if response is None or not isinstance(exception, APIException):
        return response
    if isinstance(response.data, dict) and isinstance(exception.get_codes(), str):
        response.data.setdefault("code", exception.get_codes())
    if isinstance(exception, RefusedRequest):
        response.data["error"] = exception.error.code
        if exception.error.temporary:
            response["Retry-After"] = "1"
    return response


def _error_of(exception: RealtimeError) -> Error:
    if isinstance(exception, InvalidRoomName):
        return Error.PERMISSION_DENIED  # as for a room that does not exist
    if isinstance(exception, InvalidPayload) and not isinstance(exception, PayloadTooLarge):
        return Error(Error.BAD_REQUEST.code, exception.error.message)
    if exception.error.temporary:
        return Error(exception.error.code, "unavailable just now; try again", temporary=True)
    return exception.error
