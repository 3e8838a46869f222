"""The scopes of a token, in the words of this app."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..conf import realtime_settings
from ..exceptions import AuthenticationError

_CLAIMS = ("scope", "scp")
"""RFC 8693 has `scope`, words separated by spaces. Entra ID has `scp`, and Okta a list of it."""


def from_claims(claims: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the scopes of a token, or None if it has no such claim, and so no limit."""
    given = next((claims[name] for name in _CLAIMS if claims.get(name) is not None), None)
    if given is None:
        return None
    words = given.split() if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise AuthenticationError("the scope claim is not valid")
    return translated(words)


def translated(words: Iterable[str]) -> frozenset[str]:
    """Return these words, and what `REALTIME["SCOPES"]` says that they stand for."""
    meanings = realtime_settings.SCOPES
    found = set(words)
    for word in found & meanings.keys():
        found |= set(meanings[word])
    return frozenset(found)
