"""As those of the tests of authority, with short times between a change and what finds it."""

from tests.settings.authority import *  # noqa: F403
from tests.settings.authority import REALTIME

REALTIME = {**REALTIME, "EXPIRY_GRACE_SECONDS": 1, "RECHECK_SECONDS": 1}
