"""The part of a room in this process: its local members, and the fan-out to them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Protocol

import msgspec

from ..codes import UnsubscribeCode
from ..conf import realtime_settings
from ..layers import RoomLayer
from ..metrics import metrics
from ..protocols.base import WireProtocol
from ..protocols.frames import Frame, join, size_of
from ..rooms.publications import ClientInfo, Publication
from ..sparse_log import SparseLogs
from .feed import Feed
from .lag import LagSampler
from .suspensions import Suspensions
from .ticks import TickQueue

logger = logging.getLogger("realtime.local_room")

_unreadable = SparseLogs(logger)

CHECK_JITTER = 1.6
BATCH_MAX = 500
BATCH_MAX_GIVING_WAY = 5_000
REST_MIN, REST_MAX = 1.25, 4
"""The next fan-out begins after so many times the duration of the last one. A fifth of the time is
left for everything else, and a small room does not wait long for a saving that is small."""
FRAME_BYTES = 65_536
"""Publications that are sent together are joined to frames of about this size."""

_INSUFFICIENT = "insufficient state"

_decode_info = msgspec.json.Decoder(ClientInfo).decode


class Recipient(Protocol):
    """A connection, as far as rooms know it."""

    @property
    def id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def protocol(self) -> WireProtocol: ...
    @property
    def deliver(self) -> Callable[[Frame], None]:
        """Queues a frame for the client. Never waits."""
        ...

    def fall_behind(self) -> None:
        """It gets messages of a room later than what was published after them in other rooms."""
        ...

    def unsubscribe(self, room: str, code: UnsubscribeCode, reason: str) -> None: ...


class LocalRoom:
    """Fans out what its feed passes on. Delivery never waits: sessions queue what they get, so that
    a slow one delays nobody."""

    __slots__ = (
        "_batch",
        "_fresh_until",
        "_has_exclusions",
        "_is_flushing",
        "_lag",
        "_loop",
        "_ticks",
        "_timer",
        "check_at",
        "entering",
        "feed",
        "in_group",
        "lock",
        "name",
        "sessions",
        "suspended",
        "watchers",
    )

    def __init__(self, name: str, layer: RoomLayer, ticks: TickQueue, lag: LagSampler) -> None:
        self.name = name
        self._lag = lag
        self._ticks = ticks
        self._loop = asyncio.get_running_loop()
        self.feed = Feed(name, layer, on_publication=self.deliver, on_lost=self._on_lost)
        self.sessions: set[Recipient] = set()
        self.watchers: set[Recipient] = set()
        """The sessions that are notified of members who join or leave."""
        self.lock = asyncio.Lock()
        self.in_group = False
        self.entering = 0
        self.check_at = 0.0
        """When to compare the feed with the layer, on the clock of the loop."""
        self.check_later()
        self._batch: list[Publication] = []
        """Publications that wait for the next fan-out."""
        self._has_exclusions = False
        """Whether one of them is not for everybody."""
        self.suspended: Suspensions[Recipient] = Suspensions(self._deliver_to)
        self._fresh_until = 0.0
        self._is_flushing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Return whether no session is in the room or is entering it."""
        return not self.sessions and not self.entering

    def add(self, session: Recipient, *, watches: bool) -> None:
        # The position of the new session is behind the publications that wait.
        self._flush()
        self.sessions.add(session)
        if watches:
            self.watchers.add(session)

    def remove(self, session: Recipient) -> None:
        """Take a session out. From the next line on, nothing of the room reaches it."""
        self.sessions.discard(session)
        self.watchers.discard(session)
        self.suspended.drop(session)

    def check_later(self) -> None:
        """The feed agrees with the layer: set the time of the next comparison."""
        pause: float = realtime_settings.POSITION_CHECK_SECONDS * random.uniform(1, CHECK_JITTER)
        self.check_at = asyncio.get_running_loop().time() + pause

    def deliver(self, publication: Publication) -> None:
        """Fan out a publication: at once in a quiet room, together with others in a busy one.

        Publications that arrive in the same tick are sent in one frame, and those that follow
        within `COALESCE_SECONDS` in the next one. A single message would gain nothing by waiting.
        """
        self._batch.append(publication)
        if publication.exclude:
            self._has_exclusions = True
        if not self._is_flushing:
            self._is_flushing = True
            if self._loop.time() >= self._fresh_until:
                # Publications in the same piece of data go along.
                self._ticks.fan_out(self._flush)
            else:
                self._timer = self._loop.call_at(self._fresh_until, self._on_timer)
        elif len(self._batch) >= self._batch_max:
            self._flush()

    @property
    def _batch_max(self) -> int:
        return BATCH_MAX_GIVING_WAY if self._ticks.gives_way else BATCH_MAX

    def _on_timer(self) -> None:
        if self._ticks.gives_way:
            self._ticks.fan_out(self._flush)
        else:
            self._flush()

    def notify_watchers(self, joined: list[bytes], left: list[bytes]) -> None:
        news = [("join", _decode_info(info)) for info in joined]
        news += [("leave", _decode_info(info)) for info in left]

        def encode(protocol: WireProtocol) -> list[Frame]:
            encoded = [protocol.encode_presence(self.name, *event) for event in news]
            return _frames(protocol, [frame for frame in encoded if frame])

        _fan_out(self.watchers, encode)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, []
        if not batch:
            return
        now, begun = self._loop.time(), time.perf_counter()

        everybody: Collection[Recipient] = self.sessions
        if self._has_exclusions or self.suspended:
            self._has_exclusions = False
            everybody = self._deliver_apart(batch)
        _fan_out(everybody, partial(self._encode, batch))
        metrics.delivered += len(batch) * len(everybody)
        if self._lag.wants_one:
            self._lag.note(self.name, batch[0].offset)
        took = time.perf_counter() - begun
        # Publications that wait for the next fan-out cost hardly more than one message.
        rest = min(realtime_settings.COALESCE_SECONDS, REST_MAX * took) if len(batch) > 1 else 0
        self._fresh_until = now + max(rest, REST_MIN * took)

    def _deliver_apart(self, batch: list[Publication]) -> list[Recipient]:
        """Fan out to the sessions that do not get all of the batch. Return the others."""
        excluded = {client for each in batch for client in each.exclude}
        others = []
        for session in list(self.sessions):
            is_suspended = session in self.suspended
            if session.id not in excluded and not is_suspended:
                others.append(session)
                continue
            theirs = [each for each in batch if each.is_for(session.id, session.user_id)]
            if not is_suspended:
                self._deliver_to(session, theirs)
                continue
            if theirs:
                session.fall_behind()
            if not self.suspended.keep(session, theirs):
                # It starts again, and reads them when it is let in.
                session.unsubscribe(self.name, UnsubscribeCode.INSUFFICIENT_STATE, _INSUFFICIENT)
        return others

    def _deliver_to(self, session: Recipient, publications: list[Publication]) -> None:
        if publications:
            _fan_out([session], partial(self._encode, publications))
            metrics.delivered += len(publications)

    def _encode(self, batch: list[Publication], protocol: WireProtocol) -> list[Frame]:
        name = self.name
        try:
            encoded = [protocol.encode_publication(name, each) for each in batch]
        except (msgspec.MsgspecError, ValueError):
            encoded = self._encode_readable(protocol, batch)
        return _frames(protocol, encoded)

    def _encode_readable(self, protocol: WireProtocol, batch: list[Publication]) -> list[Frame]:
        """Encode the publications that can be read. The subscribers then start again, because the
        others took the offset of something else."""
        encoded = []
        for publication in batch:
            try:
                encoded.append(protocol.encode_publication(self.name, publication))
            except (msgspec.MsgspecError, ValueError):
                _unreadable.warning(
                    self.name,
                    "a message of the room %r can't be read; its subscribers start again",
                    self.name,
                )
        self._loop.call_soon(self.feed.lose)
        return encoded

    def _on_lost(self) -> None:
        self._flush()
        for session in list(self.sessions):
            session.unsubscribe(self.name, UnsubscribeCode.INSUFFICIENT_STATE, _INSUFFICIENT)


def _fan_out(sessions: Iterable[Recipient], encode: Callable[[WireProtocol], list[Frame]]) -> None:
    """Give sessions the frames that `encode` makes, once for each protocol."""
    encoded: dict[str, list[Frame]] = {}
    protocol: WireProtocol | None = None
    frames: list[Frame] = []
    # A copy, because a session whose outbox is full leaves the room at once.
    for session in list(sessions):
        if session.protocol is not protocol:
            protocol = session.protocol
            if protocol.name not in encoded:
                encoded[protocol.name] = encode(protocol)
            frames = encoded[protocol.name]
        try:
            for frame in frames:
                session.deliver(frame)
        except Exception:
            logger.exception("a session could not be delivered to; the others go on")


def _frames(protocol: WireProtocol, encoded: list[Frame]) -> list[Frame]:
    """Messages as frames: one, unless it would get too large."""
    if len(encoded) <= 1:
        return encoded
    frames: list[Frame] = []
    together, size = [encoded[0]], size_of(encoded[0])
    for message in encoded[1:]:
        more = size_of(message)
        if size + more > FRAME_BYTES:
            frames.append(join(together, protocol.separator))
            together, size = [], 0
        together.append(message)
        size += more
    frames.append(join(together, protocol.separator))
    return frames
