"""Records rights that were lost without a signal, until every Redis has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from ..concurrency import background, tasks
from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..layers.records import Change
from ..sparse_log import SparseLog

logger = logging.getLogger("realtime.reviewer")
_unwritten = SparseLog(logger)

WAIT_SECONDS = 0.2
MOST_OWED = 10_000
_ALL: Change = (None, None)


class LostRights:
    """A user who has a right again later must not catch up on the time between, whichever process
    the user comes back to. So the loss is recorded in Redis, and again until it is there.

    Of very many that can't be recorded, one change of all rights is recorded in their place.
    """

    def __init__(self, layer: RoomLayer) -> None:
        self._layer = layer
        self.recording: set[asyncio.Task[None]] = set()
        self._owed: set[Change] = set()
        self._retrying: asyncio.Task[None] | None = None

    async def record(self, lost: Collection[Change]) -> None:
        """Record the loss. A Redis that hangs must not hold up that the right ends: it is waited
        for a moment only."""
        if lost:
            recording = asyncio.create_task(self._record(lost), name="realtime-lost-rights")
            self.recording.add(recording)
            recording.add_done_callback(self.recording.discard)
            await asyncio.wait([recording], timeout=WAIT_SECONDS)

    async def close(self) -> None:
        await asyncio.gather(*self.recording, return_exceptions=True)
        await tasks.cancel(self._retrying)

    async def _record(self, lost: Collection[Change]) -> None:
        if await self._is_recorded(lost):
            return
        _unwritten.warning("a right that was lost could not be recorded; retrying")
        self._owed |= set(lost)
        if len(self._owed) > MOST_OWED:
            self._owed = {_ALL}
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry(), name="realtime-lost-rights-owed")

    async def _retry(self) -> None:
        while self._owed:
            await asyncio.sleep(background.RETRY_SECONDS)
            # Each room by itself: rooms whose Redis answers are not recorded once more because of
            # another one that doesn't.
            await asyncio.gather(*map(self._retry_room, {room for _, room in self._owed}))

    async def _retry_room(self, room: str | None) -> None:
        owed = {change for change in self._owed if change[1] == room}
        if await self._is_recorded(owed):
            self._owed -= owed

    async def _is_recorded(self, lost: Collection[Change]) -> bool:
        """Record what may be recorded. Return False if it has to be tried again."""
        try:
            # "Gone" lasts until the user is back, which of everybody is never.
            await self._layer.mark_changes(lost, gone=_ALL not in lost)
        except LayerUnavailable:
            return False
        except Exception:
            logger.exception("a right that was lost could not be recorded")
        return True
