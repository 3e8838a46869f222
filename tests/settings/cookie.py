"""The base settings of the tests, with the credentials that a site has to switch on."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "CREDENTIALS": ["subprotocol", "header", "connect", "ticket", "cookie", "session", "query"],
}
