"""The channel layer, which the processes of a site share."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..layers import get_layer


def check_layer(**kwargs: Any) -> list[CheckMessage]:
    try:
        get_layer()
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        # Such as `hosts` that are one URL instead of a list of them.
        return [Error(str(error), id="realtime.E006")]
    return []
