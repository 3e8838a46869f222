"""Revoked access tokens of django-oauth-toolkit end their connections."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.apps import apps
from django.db.models.signals import pre_delete

from ..authentication import oauth_toolkit
from ..codes import CloseCode
from .announcements import announce_after_commit, removal
from .transactions import after_commit


def connect() -> None:
    """Listen to access tokens, if the library is installed."""
    if not apps.is_installed(oauth_toolkit.APP):
        return
    from oauth2_provider.models import get_access_token_model

    pre_delete.connect(
        token_deleted,
        sender=get_access_token_model(),
        dispatch_uid="realtime.oauth_token_deleted",
    )


def token_deleted(instance: Any, using: str, **kwargs: Any) -> None:
    """An access token is revoked, or replaced by a newer one: by `refresh`, the client then shows
    the newer one on the connection, which stays."""
    if instance.is_expired() or not oauth_toolkit.is_in_use():
        return  # its connections end by themselves
    refresh_token = oauth_toolkit.refresh_token_of(instance)
    after_commit(partial(_end, instance.pk, refresh_token), using)


def _end(token_pk: Any, refresh_token: Any) -> None:
    if refresh_token is not None and oauth_toolkit.is_replaced(refresh_token):
        return
    announce_after_commit(
        removal(
            sign_in=oauth_toolkit.sign_in_of(token_pk),
            code=CloseCode.INVALID_TOKEN,
            reason="the access token was revoked",
        )
    )
