"""Seals the new key of a session with its old one: whoever has the old one can read it, and nobody
else who hears what processes announce to each other."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings

_NONCE_BYTES = 16


def seal(key: str, old_key: str) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return (nonce + _combined(key.encode(), nonce, old_key)).hex()


def unseal(sealed: str, old_key: str) -> str:
    """Return the key that was sealed with `old_key`; "" if nothing was sealed, or a process with
    another `SECRET_KEY` did it."""
    try:
        both = bytes.fromhex(sealed)
        nonce, rest = both[:_NONCE_BYTES], both[_NONCE_BYTES:]
        return _combined(rest, nonce, old_key).decode("ascii")
    except ValueError:
        return ""


def _combined(text: bytes, nonce: bytes, old_key: str) -> bytes:
    secret = nonce + hashlib.sha256(settings.SECRET_KEY.encode()).digest() + old_key.encode()
    pad = hashlib.shake_256(b"realtime.session" + secret).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, pad, strict=True))
