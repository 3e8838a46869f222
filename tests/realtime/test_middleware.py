"""The middleware that authenticates connections: every handshake gets an answer."""

import asyncio

from realtime.exceptions import AuthenticationUnavailable
from realtime.middleware import JWTAuthMiddleware


class NeverAnswers:
    """An authenticator that waits for something that does not come."""

    async def authenticate(self, raw_token):
        await asyncio.Event().wait()


async def test_a_credential_is_checked_for_connect_seconds_at_most(settings):
    settings.REALTIME = {
        "AUTHENTICATOR": f"{__name__}.NeverAnswers",
        "CONNECT_SECONDS": 0.05,
        "RIGHTS_SECONDS": 60,
    }
    scope = {
        "type": "websocket",
        "path": "/ws/",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"authorization", b"Bearer opaque")],
    }
    found = []

    async def application(scope, receive, send):
        found.append(scope["authentication_error"])

    async with asyncio.timeout(10):
        await JWTAuthMiddleware(application)(scope, None, None)
    assert isinstance(found[0], AuthenticationUnavailable)
