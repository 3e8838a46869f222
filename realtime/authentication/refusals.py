"""Turns errors from checking a credential into the two that a client can handle."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, DataError
from jwt.exceptions import ExpiredSignatureError, ImmatureSignatureError, InvalidTokenError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from ..exceptions import AuthenticationError, AuthenticationUnavailable

logger = logging.getLogger("realtime.authentication")

Result = TypeVar("Result")

REPORT_SECONDS = 1.0
_reported_at = -REPORT_SECONDS

# SimpleJWT and the database raise these for tokens with a valid signature but impossible claims:
# a user id that is a list or contains a NUL, an expiry date beyond the calendar.
CLAIM_ERRORS = (
    DataError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    KeyError,
    RecursionError,
    ValidationError,
)
_EXPIRED = (ExpiredTokenError, ExpiredSignatureError)
_REFUSED = (AuthenticationFailed, PermissionDenied, TokenError, InvalidTokenError, DataError)
_UNAVAILABLE = (TimeoutError, DatabaseError)


def is_caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    """Return whether `error` is of this kind, or was raised from one that is."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def refusal(error: Exception) -> AuthenticationError | AuthenticationUnavailable:
    """Return the error for the client: refused, expired, or unavailable (try again later)."""
    if isinstance(error, AuthenticationError | AuthenticationUnavailable):
        return error
    if isinstance(error, _EXPIRED):
        return AuthenticationError("the token has expired", expired=True)
    if is_caused_by(error, ImmatureSignatureError):
        return AuthenticationUnavailable("the token is not valid yet: compare the clocks")
    if isinstance(error, _REFUSED):
        return AuthenticationError("the token is not valid")
    if not isinstance(error, _UNAVAILABLE):
        _report(error)
    # The token may be valid, so it is neither accepted nor refused for good.
    return AuthenticationUnavailable("the token could not be checked now")


def outcome(function: Callable[..., Result], *args: Any) -> Result | Exception:
    """Return the result of `function`, or the error for the client if it raises."""
    try:
        return function(*args)
    except CLAIM_ERRORS:
        return AuthenticationError("the token is not valid")
    except Exception as error:
        # A bug in the site's code must not fail the other tokens of the same batch.
        return refusal(error)


def _report(error: Exception) -> None:
    global _reported_at
    now = time.monotonic()
    if now - _reported_at < REPORT_SECONDS:
        return
    _reported_at = now
    # The text of the error may contain the token, so it is not logged.
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("the authenticator raised %s, at\n%s", type(error).__qualname__, where)
