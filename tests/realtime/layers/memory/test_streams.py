"""The streams of one process: what has expired is forgotten."""

import asyncio

from realtime.layers.memory import MemoryRoomLayer, streams
from realtime.rooms.publications import Retention


async def test_expired_entries_are_forgotten(settings, monkeypatch):
    settings.REALTIME = {"IDEMPOTENCY_TTL_SECONDS": 0.01}
    monkeypatch.setattr(streams, "PURGE_SECONDS", 0)
    layer = MemoryRoomLayer()
    await layer.append("lobby", b"1", Retention(10, 0.01), "once")
    await asyncio.sleep(0.02)  # its time has to pass
    await layer.append("other", b"1")
    assert not layer._once
    assert not layer._streams["lobby"].publications
    assert (await layer.history("lobby")).position.offset == 1
