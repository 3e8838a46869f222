"""The identities behind single-use tickets, in Redis."""

from __future__ import annotations

from .topology import Topology


class Tickets:
    """Stores the identities behind tickets; see `layers.base.Tickets`."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        key = self._topology.keys.ticket(ticket)
        self._topology.do_sync(key, lambda client: client.set(key, identity, ex=ttl_seconds))

    async def astore_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        key = self._topology.keys.ticket(ticket)
        await self._topology.pipeline(key).send("SET", key, identity, "EX", ttl_seconds)

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        key = self._topology.keys.ticket(ticket)
        identity: bytes | None = await self._topology.pipeline(key).send("GETDEL", key)
        return identity
