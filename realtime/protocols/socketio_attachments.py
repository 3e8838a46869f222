"""A packet of Socket.IO whose attachments are on the way: each is a message of its own."""

from __future__ import annotations

from ..conf import realtime_settings
from .base import ProtocolError
from .socketio_packets import Packet, with_attachments


class Assembly:
    """The packet of one connection that is not whole yet, if there is one."""

    __slots__ = ("_attachments", "_is_refused", "_packet", "_size")

    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._attachments: list[bytes] = []
        self._size = 0
        self._is_refused = False

    @property
    def is_open(self) -> bool:
        return self._packet is not None

    def begin(self, packet: Packet, *, is_refused: bool = False) -> None:
        """Wait for the attachments of a packet; of one that is refused, they are dropped."""
        self._packet, self._attachments, self._size = packet, [], 0
        self._is_refused = is_refused

    def add(self, attachment: bytes) -> tuple[Packet, str] | None:
        """Take an attachment. Return the packet and its JSON with all attachments, if this was the
        last one. Raises `ProtocolError`."""
        packet = self._packet
        if packet is None:
            raise ProtocolError("an attachment without a packet")
        if self._is_refused:
            self.refuse()
            return None
        self._attachments.append(attachment)
        self._size += len(attachment)
        if self._size > realtime_settings.FRAME_MAX_BYTES:
            raise ProtocolError("the attachments are too large")
        if len(self._attachments) < packet.attachments:
            return None
        self._packet, attachments = None, self._attachments
        self._attachments = []
        return packet, with_attachments(packet.json, attachments)

    def refuse(self) -> int:
        """Drop an attachment, and the packet with it. Return the id of the packet."""
        packet = self._packet
        if packet is None:
            return 0
        self._is_refused = True
        self._attachments.append(b"")
        if len(self._attachments) >= packet.attachments:
            self._packet, self._attachments = None, []
        return packet.id
