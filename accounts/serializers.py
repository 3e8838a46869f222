"""The serializers of the token endpoints."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.serializers import (
    TokenBlacklistSerializer,
    TokenObtainPairSerializer,
    TokenRefreshSerializer,
    TokenVerifySerializer,
)
from rest_framework_simplejwt.tokens import Token

import realtime
from realtime.authentication.refusals import CLAIM_ERRORS
from realtime.exceptions import LayerUnavailable

logger = logging.getLogger("accounts")

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
    """Gives tokens with a `sid`, the id of the sign-in. Unlike `jti`, it survives rotation."""

    @classmethod
    def get_token(cls, user: Any) -> Token:
        token = super().get_token(user)
        token["sid"] = uuid.uuid4().hex
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


class LogoutSerializer(_RefusesImpossibleClaims, TokenBlacklistSerializer):  # type: ignore[misc]
    """Also closes the WebSockets of this sign-in: its access token is still valid for a while."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        valid = super().validate(attrs)
        sign_in = self.token_class(attrs["refresh"], verify=False).get("sid", "")
        if sign_in:
            try:
                realtime.disconnect(session=str(sign_in), code=3500, reason="signed out")
            except LayerUnavailable:
                logger.warning("the connections of a signed-out user could not be closed")
        return valid
