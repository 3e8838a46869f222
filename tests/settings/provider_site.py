"""As `tests.settings.providers`, on a server whose access tokens last for two seconds."""

from tests.settings.providers import *  # noqa: F403
from tests.settings.providers import OAUTH2_PROVIDER, REALTIME

OAUTH2_PROVIDER = {**OAUTH2_PROVIDER, "ACCESS_TOKEN_EXPIRE_SECONDS": 2}
REALTIME = {
    **REALTIME,
    "AUTHENTICATOR": "realtime.authentication.oauth_toolkit.AccessTokenAuthenticator",
}
