"""The base settings of the tests, with tokens of an OpenID provider: RS256, keys by `JWK_URL`."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME, SIMPLE_JWT

SIMPLE_JWT = {
    **SIMPLE_JWT,
    "ALGORITHM": "RS256",
    "JWK_URL": os.environ["JWK_URL"],
    "ISSUER": "https://login.example.com",
    "AUDIENCE": "realtime",
    "USER_ID_FIELD": "username",
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,
    "JTI_CLAIM": None,
    # Nobody elsewhere knows the passwords of this site.
    "CHECK_REVOKE_TOKEN": False,
}
REALTIME = {**REALTIME, "RIGHTS_SECONDS": 3}
