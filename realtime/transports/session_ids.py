"""Ids of Engine.IO sessions: nobody can guess one, and every process can tell whose it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from django.conf import settings

_PROCESS_BYTES = 6
_RANDOM_BYTES = 15
_SEAL_BYTES = 9


def new(process: str) -> str:
    """Return an id for a session of the process with this id, 12 hexadecimal digits."""
    content = bytes.fromhex(process) + secrets.token_bytes(_RANDOM_BYTES)
    return base64.urlsafe_b64encode(content + _seal(content)).decode()


def process_of(sid: str) -> str:
    """Return the process whose session this is; "" if this site has not made the id."""
    try:
        content = base64.b64decode(sid, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return ""
    content, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if len(content) != _PROCESS_BYTES + _RANDOM_BYTES:
        return ""
    if not hmac.compare_digest(seal, _seal(content)):
        return ""
    return content[:_PROCESS_BYTES].hex()


def _seal(content: bytes) -> bytes:
    """Without it, anybody could make processes ask each other."""
    key = hashlib.sha256(b"realtime.sid" + settings.SECRET_KEY.encode()).digest()
    return hmac.digest(key, content, "sha256")[:_SEAL_BYTES]
