"""What a connection sends at once: one message of the transport, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Message = str | bytes
"""A text message or a binary one."""
Frame = Message | tuple[Message, ...]
"""A message, or several that are written in one go. An empty one stands for nothing."""


def join(frames: Sequence[Frame], separator: Message | None) -> Frame:
    """Pack frames into one: a single message if the protocol has a separator, else several."""
    if len(frames) == 1:
        return frames[0]
    if separator is not None:
        messages: Any = frames  # of the type of the separator
        joined: Message = separator.join(messages)
        return joined
    return tuple(message for frame in frames for message in messages_of(frame))


def messages_of(frame: Frame) -> tuple[Message, ...]:
    return frame if isinstance(frame, tuple) else (frame,)


def size_of(frame: Frame) -> int:
    """The bytes of a frame, without those that the transport adds."""
    if isinstance(frame, str):
        return len(frame) if frame.isascii() else len(frame.encode())
    if isinstance(frame, bytes):
        return len(frame)
    return sum(map(size_of, frame))
