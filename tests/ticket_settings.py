"""As the tests' settings, with tickets that end soon."""

from tests.settings import *  # noqa: F403

REALTIME = {"TICKET_TTL_SECONDS": 2}
