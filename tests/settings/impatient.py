"""The base settings of the tests, with short time limits."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "CONNECT_SECONDS": 1, "PING_SECONDS": 1, "PONG_SECONDS": 1}
