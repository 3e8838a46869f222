"""The base settings of the tests, with a short TTL of processes."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "PROCESS_TTL_SECONDS": 5}
