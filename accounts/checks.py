"""The system checks of the token endpoints."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from rest_framework.settings import api_settings


def check_proxies(**kwargs: Any) -> list[CheckMessage]:
    if api_settings.NUM_PROXIES is not None:
        return []
    return [
        Warning(
            "The number of proxies is not set. Behind a proxy, all clients share one limit of "
            "requests to the token endpoints.",
            hint='Set REST_FRAMEWORK["NUM_PROXIES"]: 0 without a proxy, 1 behind one.',
            id="accounts.W001",
        )
    ]


def check_blacklist(**kwargs: Any) -> list[CheckMessage]:
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return []
    return [
        Error(
            "The app token_blacklist is not installed, so a refresh token stays valid after "
            "/api/logout/.",
            hint='Add "rest_framework_simplejwt.token_blacklist" to INSTALLED_APPS, and migrate.',
            id="accounts.E001",
        )
    ]
