"""As the tests' settings, with opaque tokens that an authenticator of the site's own knows."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "AUTHENTICATOR": "tests.support.opaque_authenticator.SessionTokenAuthenticator",
    "RIGHTS_SECONDS": 1,
}
