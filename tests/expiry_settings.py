"""As those of the tests of authority, with short times between a change and what finds it."""

from tests.authority_settings import *  # noqa: F403
from tests.authority_settings import REALTIME

REALTIME = {**REALTIME, "EXPIRY_GRACE_SECONDS": 1, "RECHECK_SECONDS": 1}
