"""The base settings of the tests, with an audience, an issuer and a rule of the site's own."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import SIMPLE_JWT


def not_bob(user):
    return user is not None and user.is_active and user.username != "bob"


SIMPLE_JWT = {
    **SIMPLE_JWT,
    "AUDIENCE": "realtime",
    "ISSUER": "tests",
    "USER_AUTHENTICATION_RULE": "tests.settings.strict_token.not_bob",
}
