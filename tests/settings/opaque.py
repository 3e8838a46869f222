"""The base settings of the tests, with opaque tokens for an authenticator of the site."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {
    **REALTIME,
    "AUTHENTICATOR": "tests.support.opaque_authenticator.SessionTokenAuthenticator",
    "RIGHTS_SECONDS": 1,
}
