"""An authenticator that takes seconds, to test what happens while a client waits."""

import time

from realtime.authentication import Identity, SimpleJWTAuthenticator


class SlowAuthenticator(SimpleJWTAuthenticator):
    def authenticate(self, raw_token: str) -> Identity:
        time.sleep(0.3)
        return super().authenticate(raw_token)
