"""The settings of the tests of authority, with short intervals between reviews."""

from tests.settings.authority import *  # noqa: F403
from tests.settings.authority import REALTIME

REALTIME = {**REALTIME, "EXPIRY_GRACE_SECONDS": 1, "RECHECK_SECONDS": 1}
