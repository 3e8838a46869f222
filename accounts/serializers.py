"""The serializers of the token endpoints."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from rest_framework import serializers
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.serializers import (
    TokenBlacklistSerializer,
    TokenObtainPairSerializer,
    TokenRefreshSerializer,
    TokenVerifySerializer,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token

import realtime
from realtime.authentication.refusals import CLAIM_ERRORS
from realtime.control.sign_ins import running_session_of
from realtime.exceptions import LayerUnavailable

logger = logging.getLogger("accounts")

MOST_ENDED = 1_000

# The serializers of SimpleJWT look the user up by themselves, and let this error through.
_CLAIM_ERRORS = (*CLAIM_ERRORS, ObjectDoesNotExist)


class _RefusesImpossibleClaims(serializers.Serializer[Any]):
    """Answers 401 instead of 500 to a token with a deleted user or impossible claims."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            valid: dict[str, Any] = super().validate(attrs)
        except serializers.ValidationError:
            raise
        except _CLAIM_ERRORS as error:
            raise InvalidToken() from error
        return valid


class ObtainSerializer(TokenObtainPairSerializer):  # type: ignore[misc]
    """Gives tokens with a `sid`, the id of the sign-in. Unlike `jti`, it survives rotation.

    Where the user is signed in to a Django session already, the tokens belong to that sign-in, and
    end with it.
    """

    @classmethod
    def get_token(cls, user: Any) -> Token:
        token = super().get_token(user)
        token["sid"] = running_session_of(user) or uuid.uuid4().hex
        return token


class RefreshSerializer(_RefusesImpossibleClaims, TokenRefreshSerializer):  # type: ignore[misc]
    """Refuses after a change of the password, which SimpleJWT checks for access tokens only."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        valid = super().validate(attrs)
        authentication = JWTAuthentication()
        authentication.get_user(authentication.get_validated_token(valid["access"].encode()))
        return valid


class VerifySerializer(_RefusesImpossibleClaims, TokenVerifySerializer):  # type: ignore[misc]
    pass


class _EndsSignIn(TokenBlacklistSerializer):  # type: ignore[misc]
    """Ends a sign-in: all its refresh tokens, and its WebSockets, because its access token is valid
    for a while.

    A refresh token that another tab has rotated proves the sign-in as well, while something of the
    sign-in is left to end.
    """

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        token = _EvenIfBlacklisted(attrs["refresh"])
        was_valid, valid = True, {}
        try:
            valid = super().validate(attrs)
        except TokenError:
            was_valid = False
        sign_in = str(token.get("sid") or "")
        if not _blacklist_all(token, sign_in) and not was_valid:
            raise InvalidToken()
        if sign_in:
            try:
                realtime.disconnect(session=sign_in, code=3500, reason="signed out")
            except LayerUnavailable:
                logger.warning("the connections of a signed-out user could not be closed")
        return valid


class LogoutSerializer(_RefusesImpossibleClaims, _EndsSignIn):
    pass


class _EvenIfBlacklisted(RefreshToken):
    """A refresh token that may have been rotated."""

    def check_blacklist(self) -> None:
        pass


def _blacklist_all(token: Token, sign_in: str) -> bool:
    """Blacklist the refresh tokens of a sign-in. Return whether there were any."""
    if not sign_in or not apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return False
    valid = OutstandingToken.objects.filter(
        **{f"user__{api_settings.USER_ID_FIELD}": token.get(api_settings.USER_ID_CLAIM)},
        expires_at__gt=timezone.now(),
        blacklistedtoken=None,
    ).order_by("-id")[:MOST_ENDED]
    of_sign_in = [each for each in valid if _sign_in_of(each.token) == sign_in]
    for each in of_sign_in:
        BlacklistedToken.objects.get_or_create(token=each)
    return bool(of_sign_in)


def _sign_in_of(stored: str) -> str:
    try:
        return str(RefreshToken(stored, verify=False).get("sid") or "")
    except TokenError:
        return ""
