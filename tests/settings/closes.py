"""As the tests' settings, with short times and a small outbox until the server closes."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "CONNECT_SECONDS": 5,
    "PING_SECONDS": 2,
    "PONG_SECONDS": 3,
    "EXPIRY_GRACE_SECONDS": 0,
    "OUTBOX_MAX_BYTES": 65_536,
}
