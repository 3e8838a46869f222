"""The base settings of the tests, for clients of Socket.IO."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, REALTIME

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.socketio_site"]
REALTIME = {
    **REALTIME,
    "CREDENTIALS": ["subprotocol", "header", "connect", "ticket", "session", "query"],
    "SOCKETIO_EVENTS": {"chat message": "lobby", "moderators only": "announcements"},
    "SOCKETIO_NAMESPACES": ["/shop", "/blog"],
    "PING_SECONDS": 2,
}
