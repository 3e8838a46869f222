"""As the tests' settings, with tickets that end soon."""

from tests.settings import *  # noqa: F403
from tests.settings import REALTIME

REALTIME = {**REALTIME, "TICKET_TTL_SECONDS": 2}
