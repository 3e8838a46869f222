"""The base settings of the tests, with code that blocks its thread, and short time limits."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, REALTIME

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.slow_code"]
REALTIME = {
    **REALTIME,
    "RIGHTS_SECONDS": 1,
    "RECHECK_SECONDS": 2,
    "DRAIN_SECONDS": 4,
    "PRESENCE_LEAVE_SECONDS": 0.5,
}
