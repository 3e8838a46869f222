"""The base of authenticators that look up the users of many tokens together."""

from __future__ import annotations

from .identity import Identity


class BatchAuthenticator:
    """Turns tokens into identities, those that come at the same time with a few queries."""

    def authenticate(self, raw_token: str) -> Identity:
        """Return the identity of a token.

        Raises `AuthenticationError`, with `expired` set if the client should get a new token, and
        `AuthenticationUnavailable` if the token could not be checked.
        """
        (answer,) = self.authenticate_many([raw_token])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def authenticate_many(self, raw_tokens: list[str]) -> list[Identity | Exception]:
        """Return for each token its identity or the error for its client."""
        raise NotImplementedError
