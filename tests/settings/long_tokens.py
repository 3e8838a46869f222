"""As the tests' settings with all credentials, for tokens that are longer than most."""

from tests.settings.cookie import *  # noqa: F403
from tests.settings.cookie import REALTIME

REALTIME = {**REALTIME, "TOKEN_MAX_BYTES": 60_000}
