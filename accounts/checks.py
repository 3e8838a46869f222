"""The system check of the token endpoints."""

from typing import Any

from django.core.checks import CheckMessage, Warning
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
