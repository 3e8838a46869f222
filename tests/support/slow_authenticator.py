"""A slow authenticator, for tests of the time in which a client waits for it."""

import time

from realtime.authentication import Identity, SimpleJWTAuthenticator


class SlowAuthenticator(SimpleJWTAuthenticator):
    def authenticate(self, raw_token: str) -> Identity:
        time.sleep(0.3)
        return super().authenticate(raw_token)
