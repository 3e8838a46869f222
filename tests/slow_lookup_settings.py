"""As the tests' settings, with a look-up of the user that takes its time."""

from tests.settings import *  # noqa: F403
from tests.settings import REALTIME

REALTIME = {**REALTIME, "AUTHENTICATOR": "tests.slow_authenticator.SlowAuthenticator"}
