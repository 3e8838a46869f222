"""The public profile of a user, which other people see."""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from ..conf import realtime_settings


def user_info(user: Any) -> dict[str, Any]:
    """Return the public profile: a display name, never an e-mail address."""
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    if not name and not user.is_anonymous:
        name = str(user.get_username())  # a number or a related object, in some user models
    return {"name": name if name and "@" not in name else f"User {user.pk}"}


def public_info(user: Any) -> dict[str, Any]:
    """Call `REALTIME["USER_INFO"]`, the site's function for the public profile."""
    info: dict[str, Any] = import_string(realtime_settings.USER_INFO)(user)
    return info
