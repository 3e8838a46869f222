"""The base settings of the tests for hosts whose clocks differ by up to a minute."""

from datetime import timedelta

from tests.settings.base import *  # noqa: F403
from tests.settings.base import SIMPLE_JWT

SIMPLE_JWT = {**SIMPLE_JWT, "LEEWAY": timedelta(seconds=65)}
