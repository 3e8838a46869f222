"""The names of keys and channels in Redis."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache

from ..groups import group_name


class Keys:
    """The names of one site's keys and channels: all begin with its prefix.

    User ids, tickets and rights become digests: their text may hold anything.
    """

    def __init__(
        self,
        prefix: str,
        database_of: Callable[[str], int] | None = None,
        databases: Sequence[int] = (0,),
    ) -> None:
        self.prefix = prefix
        self.site = _digest(json.dumps([prefix, *databases]))
        """Stands for what tells the sites apart that share a Redis."""
        self._database_of = database_of

    def group(self, group: str) -> str:
        """The name of a group, which decides on its shard; as in channels_redis."""
        return f"{self.prefix}__group__{group}"

    def pubsub(self, name: str) -> str:
        """The pub/sub channel of a group or channel. In database 0 it has the name itself."""
        return pubsub_name(name, self._database_of(name)) if self._database_of else name

    def room(self, room: str, part: str) -> str:
        return f"{self.prefix}:room:{room}:{part}"

    def room_group(self, room: str) -> str:
        """The name of the group of a room."""
        return self.group(group_name(room))

    def publications(self, room: str) -> tuple[str, str, str, str]:
        """The four names that each append needs, cached: the hash of the numbering, the stream, a
        key for appends without an idempotency key, and the pub/sub channel of the room."""
        return _publications(self, room)

    def idempotency(self, room: str, once: str) -> str:
        digest = hashlib.sha256(once.encode(errors="replace")).hexdigest()
        return self.room(room, f"once:{digest}")

    def ticket(self, ticket: str) -> str:
        # Only a digest is kept: who can read Redis can't redeem a ticket.
        digest = hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
        return f"{self.prefix}:ticket:{digest}"

    def user(self, user: str, part: str) -> str:
        return f"{self.prefix}:user:{_digest(user)}:{part}"

    def process(self, process: str, part: str) -> str:
        return f"{self.prefix}:process:{process}:{part}"

    def change(self, user: str | None, room: str | None) -> str:
        return f"{self.prefix}:changed:{_digest(json.dumps([user, room]))}"

    def orders(self) -> str:
        return f"{self.prefix}:orders"

    def runs(self) -> str:
        return f"{self.prefix}:runs"

    def ended_sign_ins(self) -> str:
        return f"{self.prefix}:ended_sign_ins"

    def hosts(self) -> str:
        return f"{self.prefix}:hosts"

    def processes(self) -> str:
        return f"{self.prefix}:processes"


def pubsub_name(name: str, database: int) -> str:
    """The pub/sub channel of `name`: pub/sub itself knows no databases."""
    return f"{name}:db{database}" if database else name


def owner(key: str) -> str:
    """The part that all keys of one process, or of one user, share: one shard holds them."""
    return key.rpartition(":")[0]


@lru_cache(maxsize=16_384)
def _publications(keys: Keys, room: str) -> tuple[str, str, str, str]:
    meta, stream, once = (keys.room(room, part) for part in ("meta", "stream", "once"))
    return meta, stream, once, keys.pubsub(keys.room_group(room))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
