"""The base settings of the tests, with tickets that end soon."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "TICKET_TTL_SECONDS": 2}
