"""The room layer of one process: no server needed."""

from .layer import MemoryRoomLayer as MemoryRoomLayer
