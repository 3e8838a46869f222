"""As the tests' settings, with opaque tokens that an authenticator of the site's own knows."""

from tests.settings import *  # noqa: F403
from tests.settings import REALTIME

REALTIME = {
    **REALTIME,
    "AUTHENTICATOR": "tests.opaque_authenticator.SessionTokenAuthenticator",
    "RIGHTS_SECONDS": 1,
}
