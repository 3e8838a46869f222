"""The channel-layer groups of this app."""

from __future__ import annotations

import hashlib
from functools import lru_cache

CONTROL_GROUP = "realtime.control"
"""The group of the hubs of all processes."""


@lru_cache(maxsize=16_384)
def group_name(room: str) -> str:
    """Return the group of a room: a digest, because Channels allows fewer characters."""
    return "realtime." + hashlib.blake2b(room.encode(), digest_size=16).hexdigest()
