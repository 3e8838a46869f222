"""What an error that comes up while a credential is checked means to its client."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, DataError
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from ..exceptions import AuthenticationError, AuthenticationUnavailable

logger = logging.getLogger("realtime.authentication")

Result = TypeVar("Result")

REPORT_SECONDS = 1.0
_reported_at = -REPORT_SECONDS

# What SimpleJWT and the database raise for tokens that are signed but odd: a user id of a list or
# with a NUL, an expiry beyond the calendar.
ODD_CLAIMS = (
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
_AWAY = (TimeoutError, DatabaseError)


def refusal(error: Exception) -> AuthenticationError | AuthenticationUnavailable:
    """What a client is told of `error`: no, not any more, or come back later."""
    if isinstance(error, AuthenticationError | AuthenticationUnavailable):
        return error
    if isinstance(error, _EXPIRED):
        return AuthenticationError("the token has expired", expired=True)
    if isinstance(error, _REFUSED):
        return AuthenticationError("the token is not valid")
    if not isinstance(error, _AWAY):
        _report(error)
    # Nothing is known of the token then, so it is neither taken nor refused for good.
    return AuthenticationUnavailable("the token could not be checked now")


def outcome(function: Callable[..., Result], *args: Any) -> Result | Exception:
    """What `function` finds out from the claims of a token, or its refusal."""
    try:
        return function(*args)
    except ODD_CLAIMS:
        return AuthenticationError("the token is not valid")
    except Exception as error:
        # A mistake of the site's code concerns one token, and not all that wait with it.
        return refusal(error)


def _report(error: Exception) -> None:
    global _reported_at
    now = time.monotonic()
    if now - _reported_at < REPORT_SECONDS:
        return
    _reported_at = now
    # Without the text of the error, which may hold the token.
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("the authenticator raised %s, at\n%s", type(error).__qualname__, where)
