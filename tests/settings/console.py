"""As the tests' settings, with processes that count as dead soon after their last sign of life."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "PROCESS_TTL_SECONDS": 2}
