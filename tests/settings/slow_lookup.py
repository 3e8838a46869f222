"""The base settings of the tests, with a slow look-up of the user."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "AUTHENTICATOR": "tests.support.slow_authenticator.SlowAuthenticator"}
