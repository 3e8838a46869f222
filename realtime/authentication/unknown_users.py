"""Users of valid tokens who are not in the database: refused, created, or left to the site."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import IntegrityError, router, transaction
from django.db.models import AutoField, Model
from django.utils.module_loading import import_string
from rest_framework_simplejwt.settings import api_settings

from ..conf import realtime_settings
from ..exceptions import AuthenticationError
from ..sparse_log import SparseLog
from . import users
from .claims import has_verified_email, names

logger = logging.getLogger("realtime.authentication")
_not_created = SparseLog(logger)

REFUSE = "refuse"
CREATE = "create"
_NO_PART_OF_A_NAME = re.compile(r"[^\w.@+-]")
"""What Django's usernames may not contain."""
_PROFILE = {"first_name": "given_name", "last_name": "family_name"}


def are_left_to_the_site() -> bool:
    """Return whether code of the site decides about unknown users."""
    return realtime_settings.UNKNOWN_USERS not in (REFUSE, CREATE)


def admit(value: Any, claims: Mapping[str, Any]) -> Any:
    """Return the user for a verified token whose user id, `value`, is that of no row.

    Raises `AuthenticationError`, or what the function of the site raises.
    """
    how = realtime_settings.UNKNOWN_USERS
    if how == REFUSE:
        raise AuthenticationError("the user is unknown")
    if how == CREATE:
        return _create(value, claims)
    function: Callable[[dict[str, Any]], Any] = import_string(how)
    if iscoroutinefunction(function):
        function = async_to_sync(function)
    user = function(dict(claims))
    if user is None:
        raise AuthenticationError("the user is unknown")
    users.require_row(user)
    return user


def are_creatable() -> bool:
    """Return whether a row can be made from a claim: the database itself counts primary keys."""
    model = get_user_model()
    field = api_settings.USER_ID_FIELD
    return not (field in ("pk", model._meta.pk.name) and isinstance(model._meta.pk, AutoField))


def _create(value: Any, claims: Mapping[str, Any]) -> Any:
    """Create the user, or return the one that another connection has created just now."""
    if not are_creatable():
        raise AuthenticationError("a user can't be created by a primary key")
    field, manager = api_settings.USER_ID_FIELD, users.manager(users.manager_of_tokens())
    if field == "email" and manager.filter(email__iexact=value).exists():
        raise AuthenticationError("a user has this e-mail address in other letters")
    user = get_user_model()(**_values(value, claims))
    user.set_unusable_password()
    using = router.db_for_write(type(user))
    try:
        user.clean_fields()
        with transaction.atomic(using=using):
            user.save(using=using, force_insert=True)
    except ValidationError as error:
        _report(error)
        raise AuthenticationError("the user can't be created from this token") from error
    except IntegrityError as error:
        made = list(manager.using(using).filter(**{field: value})[:2])
        if len(made) != 1 or not names(value, made[0]):
            raise AuthenticationError("another user has the name of this one") from error
        return made[0]
    return user


def _values(value: Any, claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a new user, as far as the user model has them."""
    model: Any = get_user_model()
    values = {api_settings.USER_ID_FIELD: value}
    if has_verified_email(claims) and isinstance(claims.get("email"), str):
        values.setdefault(model.get_email_field_name(), claims["email"])
    for column, claim in _PROFILE.items():
        if isinstance(claims.get(claim), str):
            values.setdefault(column, claims[claim])
    known = {name: each for name, each in values.items() if _has_column(model, name)}
    # A subject is unique at its issuer, and says nothing about a person.
    subject = str(claims.get("sub") or value)
    known.setdefault(model.USERNAME_FIELD, _NO_PART_OF_A_NAME.sub("-", subject))
    return {name: _shortened(model, name, each) for name, each in known.items()}


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False


def _shortened(model: type[Model], name: str, value: Any) -> Any:
    most = getattr(model._meta.get_field(name), "max_length", None)
    is_profile = name in _PROFILE and isinstance(value, str)
    return value[:most] if is_profile else value


def _report(error: ValidationError) -> None:
    """Log why, without the values of the claims."""
    columns = ", ".join(sorted(error.message_dict)) if hasattr(error, "error_dict") else "a column"
    _not_created.warning(
        'REALTIME["UNKNOWN_USERS"] is "create", but the user model does not take a claim of a '
        "token, or needs more, for: %s. Choose another USER_ID_FIELD, or name a function",
        columns,
    )
