"""The base settings of the tests, with rooms that each user is always in."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "SERVER_ROOMS": "tests.support.server_rooms.rooms_of",
    "EXPIRY_GRACE_SECONDS": 10,
}
