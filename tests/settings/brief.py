"""The base settings of the tests, with frequent pings and a presence that ends soon."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "PING_SECONDS": 1,
    "PONG_SECONDS": 10,
    "PRESENCE_TTL_SECONDS": 4,
    "PRESENCE_LEAVE_SECONDS": 1,
    "DRAIN_SECONDS": 4,
}
