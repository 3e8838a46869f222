"""What a room layer offers on top of a Channels layer; the contract of both implementations."""

from typing import Any, Protocol, runtime_checkable

from ..protocols.messages import Position

PUBLICATION = "realtime.publication"
"""The `type` of a message that brings a publication: `{type, room, epoch, offset, body}`."""


@runtime_checkable
class RoomLayer(Protocol):
    """A Channels layer with groups that also numbers publications and keeps tickets.

    Methods raise `LayerUnavailable` when what is shared does not answer within 2 s.
    """

    async def new_channel(self, prefix: str = ...) -> str: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...

    async def append(self, room: str, body: bytes) -> Position:
        """Give `body` the room's next offset and broadcast it to the room's group, in one step.

        All members see publications in the order of their offsets.
        """
        ...

    def append_sync(self, room: str, body: bytes) -> Position:
        """As `append`, from any thread."""
        ...

    async def position(self, room: str) -> Position:
        """Where the room stands: the offset of its last publication, 0 before the first."""
        ...

    def store_ticket(self, ticket: str, identity: bytes, ttl_seconds: int) -> None:
        """Keep `identity` for whoever brings `ticket`. Blocks, for views and threads."""
        ...

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        """What was stored for `ticket`, once: the second caller gets None."""
        ...
