"""As the tests' settings, with the credentials that a site has to switch on."""

from tests.settings import *  # noqa: F403

REALTIME = {
    "CREDENTIALS": ["subprotocol", "header", "connect", "ticket", "cookie", "session", "query"]
}
