"""As the tests' settings, with a look-up of the user that takes its time."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "AUTHENTICATOR": "tests.support.slow_authenticator.SlowAuthenticator"}
