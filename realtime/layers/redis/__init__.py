"""The room layer on Redis."""

from .layer import RedisRoomLayer as RedisRoomLayer
