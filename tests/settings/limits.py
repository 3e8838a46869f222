"""The base settings of the tests, with limits that a test reaches quickly."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "CONNECTIONS_PER_USER": 3,
    "CONNECT_SECONDS": 60,
    "UNAUTHENTICATED_PER_ADDRESS": 200,
    "COMMANDS_PER_SECOND": 100,
    "COMMANDS_BURST": 200,
    "PROCESS_TTL_SECONDS": 5,
}
