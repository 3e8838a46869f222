"""What the token endpoints take and give."""

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
from realtime.authentication.refusals import ODD_CLAIMS
from realtime.exceptions import LayerUnavailable

logger = logging.getLogger("accounts")

# The serializers of SimpleJWT look the user up by themselves, and let this error through.
_ODD_CLAIMS = (*ODD_CLAIMS, ObjectDoesNotExist)


class _OddTokensAreInvalid(serializers.Serializer[Any]):
    """Answers 401 instead of 500 for a token of a user who is gone, or with odd claims."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            valid: dict[str, Any] = super().validate(attrs)
        except serializers.ValidationError:
            raise
        except _ODD_CLAIMS as error:
            raise InvalidToken() from error
        return valid


class ObtainSerializer(TokenObtainPairSerializer):  # type: ignore[misc]
    """A pair of tokens whose `sid` names the sign-in: it survives rotation, `jti` does not."""

    @classmethod
    def get_token(cls, user: Any) -> Token:
        token = super().get_token(user)
        token["sid"] = uuid.uuid4().hex
        return token


class RefreshSerializer(_OddTokensAreInvalid, TokenRefreshSerializer):  # type: ignore[misc]
    """Refuses also after a change of the password, which SimpleJWT asks of access tokens only."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        valid = super().validate(attrs)
        authentication = JWTAuthentication()
        authentication.get_user(authentication.get_validated_token(valid["access"].encode()))
        return valid


class VerifySerializer(_OddTokensAreInvalid, TokenVerifySerializer):  # type: ignore[misc]
    pass


class LogoutSerializer(_OddTokensAreInvalid, TokenBlacklistSerializer):  # type: ignore[misc]
    """Closes the sockets of this sign-in too: an access token alone would outlive it."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        valid = super().validate(attrs)
        sign_in = self.token_class(attrs["refresh"], verify=False).get("sid", "")
        if sign_in:
            try:
                realtime.disconnect(session=str(sign_in), code=3500, reason="signed out")
            except LayerUnavailable:
                logger.warning("the sockets of a sign-in that has ended could not be closed")
        return valid
