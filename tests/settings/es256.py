"""The base settings of the tests, with tokens of another Django site: ES256, keys by `JWK_URL`."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME, SIMPLE_JWT

SIMPLE_JWT = {
    **SIMPLE_JWT,
    "ALGORITHM": "ES256",
    "JWK_URL": os.environ["JWK_URL"],
    "USER_ID_FIELD": "username",
    # Nobody elsewhere knows the passwords of this site.
    "CHECK_REVOKE_TOKEN": False,
}
REALTIME = {**REALTIME, "RIGHTS_SECONDS": 3}
