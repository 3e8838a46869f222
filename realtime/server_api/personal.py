"""Messages to all devices of a user."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model

from ..names import personal_room
from .outgoing import OnError
from .publishing import apublish, publish


def user_room(user: Any) -> str:
    """Return the name of the personal room of `user`, a user or a primary key.

    Only this user may join it, and only the server publishes in it. Raises `ValueError` for nobody:
    None, an anonymous user, one that is not saved, a text that can be no primary key.
    """
    return personal_room(str(key_of(user)))


def key_of(user: Any) -> Any:
    """Return the primary key of `user`, a user or a primary key. Raises `ValueError` as
    `user_room` does."""
    key = user.pk if isinstance(user, Model) or hasattr(user, "is_anonymous") else user
    if key is None or key == "":
        raise ValueError("This needs a user who is stored; it is none.")
    return _checked(key) if isinstance(key, str) else key


def _checked(key: str) -> Any:
    """Return a primary key as the user model has it: a username would be the room of nobody."""
    model = get_user_model()
    try:
        return model._meta.pk.to_python(key)
    except ValidationError:
        raise ValueError(
            f"{key!r} is no primary key of {model._meta.label}. Give the user."
        ) from None


def publish_to_user(
    user: Any,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """Publish `data` to all devices of `user`, a user or a primary key, that have subscribed to
    `user_room(user)`. Otherwise as `publish`."""
    publish(
        user_room(user),
        data,
        idempotency_key=idempotency_key,
        on_commit=on_commit,
        on_error=on_error,
        exclude=exclude,
        using=using,
    )


async def apublish_to_user(
    user: Any,
    data: Any,
    *,
    idempotency_key: str = "",
    on_commit: bool = True,
    on_error: OnError | None = None,
    exclude: str | Collection[str] = "",
    using: str | None = None,
) -> None:
    """As `publish_to_user`, for coroutines."""
    await apublish(
        user_room(user),
        data,
        idempotency_key=idempotency_key,
        on_commit=on_commit,
        on_error=on_error,
        exclude=exclude,
        using=using,
    )
