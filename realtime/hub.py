"""One per process and event loop: which sessions are in which room, and the fan-out to them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from rest_framework_simplejwt.settings import api_settings

from . import tasks
from .changes import changes
from .conf import realtime_settings
from .exceptions import AuthenticationError, LayerUnavailable
from .feed import Feed, Start
from .layers import RoomLayer, get_layer
from .layers.base import CONTROL_GROUP, NEW_SIGN_IN, NOTICE, PRESENCE, PUBLICATION, RECHECK, REMOVAL
from .limits import CommandLimit, Doorway
from .lookups import Lookups
from .names import group_name
from .protocols.codes import CloseCode, UnsubscribeCode
from .protocols.messages import ClientInfo, Position, Publication
from .registry import Registry
from .reviewer import Reviewer
from .roster import Roster

if TYPE_CHECKING:
    from .protocols.messages import WireProtocol
    from .session import Session

logger = logging.getLogger("realtime.hub")

PATROL_SECONDS = 1.0
POSITIONS_AT_ONCE = 200
CHECK_JITTER = 1.6
LISTEN_RETRY_SECONDS = 1.0
LISTEN_SECONDS = 2.0
BATCH_MAX = 500
REST_SHARE = 1.5
"""How long after the begin of a fan-out the next one begins at the earliest, in its duration."""
FRAME_CHARACTERS = 65_536
"""Publications that leave together are joined to frames of about this size."""

_decode_publication = msgspec.json.Decoder(Publication).decode
_decode_info = msgspec.json.Decoder(ClientInfo).decode


@dataclass(slots=True)
class LocalRoom:
    """A room as seen from this process."""

    feed: Feed
    sessions: set[Session] = field(default_factory=set)
    watchers: set[Session] = field(default_factory=set)
    """Those of the sessions that want to hear who comes and goes."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_group: bool = False
    starting: int = 0
    check_at: float = 0.0
    """On the clock of the loop: when to compare the feed with where the room really stands."""
    batch: list[Publication] = field(default_factory=list)
    """What came while the last frames were fresh, and leaves together."""
    fresh_until: float = 0.0
    flush: asyncio.Handle | None = None


class Hub:
    """Joins the Redis-backed group of a room once for all local sessions, and hands out what comes.

    A socket costs no subscription and no task a message. Delivery never waits: sessions queue what
    they get, so that a slow one delays nobody.
    """

    def __init__(self, layer: RoomLayer) -> None:
        self.layer = layer
        self.roster = Roster(layer)
        self.registry = Registry(layer)
        self.commands = CommandLimit(layer)
        self.doorway = Doorway()
        self.rooms: dict[str, LocalRoom] = {}
        self.sessions: set[Session] = set()
        self.reviewer = Reviewer(layer)
        self._last_changes: Lookups[tuple[str, str], float] = Lookups(self._ask_for_changes)
        self._ended_sign_ins: dict[str, float] = {}
        self._channel = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._patrol_now = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._hears_changes = asyncio.Event()

    async def last_change(self, user: str, room: str) -> float:
        """When rights of `user`, who may be in `room`, have changed last, in any process: Unix time
        in ms, or -1; infinite where they were gone until now. Raises `LayerUnavailable`."""
        changed_at = await self._last_changes.ask((user, room), (user, room))
        if changed_at == inf:
            await self.layer.mark_changes([(user, room)])
        return changed_at

    async def start(self, name: str, since: Position | None = None) -> Start:
        """Make sure that the room's publications reach this process, and say where they begin for a
        session that is added now; with `since`, also what it has missed.

        Raises `LayerUnavailable`. Follow it by `add` with no await between, and by `release`.
        """
        await self._start_receiving()
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = self._local_room(name)
        room.starting += 1
        try:
            async with room.lock:
                if not room.in_group:
                    await self.layer.group_add(group_name(name), self._channel)
                    room.in_group = True
            return await room.feed.start(since)
        finally:
            room.starting -= 1

    def add(self, name: str, session: Session, *, watches: bool = False) -> None:
        room = self.rooms[name]
        # What has been counted already is not for who comes now.
        self._flush(name, room)
        room.sessions.add(session)
        if watches:
            room.watchers.add(session)

    def leave(self, name: str, session: Session) -> None:
        """From the next line on, nothing of the room reaches `session`."""
        room = self.rooms.get(name)
        if room is None:
            return
        room.sessions.discard(session)
        room.watchers.discard(session)
        self.release(name)

    def release(self, name: str) -> None:
        """Leave the group in the background when no local session is in the room."""
        room = self.rooms.get(name)
        if room is not None and not room.sessions and not room.starting:
            task = asyncio.create_task(self._leave_group(name, room))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Stop receiving, and leave nothing behind. Used when the process ends."""
        await tasks.cancel(self._listening, self._catching_up)
        if self._hears_changes.is_set():
            self._hears_changes.clear()
            changes.stop_listening()
        await self.reviewer.close()
        await self.commands.close()
        await self.roster.close()
        await self.registry.close()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await tasks.cancel(*self._tasks)
        for room in self.rooms.values():
            await room.feed.close()

    async def hear_changes(self) -> None:
        """Wait until this process hears what changes in Django. Raises `LayerUnavailable`."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="realtime-listen")
        try:
            async with asyncio.timeout(LISTEN_SECONDS):
                await self._hears_changes.wait()
        except TimeoutError as error:
            raise LayerUnavailable("what changes can't be heard") from error

    def enroll(self, session: Session) -> None:
        """Keep a session's rights current. Raises `AuthenticationError` when it is signed out."""
        if session.sign_in and session.sign_in in self._ended_sign_ins:
            raise AuthenticationError("signed out")
        self.reviewer.enroll(session)

    async def _listen(self) -> None:
        """Hear what changes in Django. Until that works everything counts as stale."""
        while True:
            try:
                await self._start_receiving()
                await self.layer.group_add(CONTROL_GROUP, self._channel)
                await self._learn_ended()
                break
            except LayerUnavailable:
                await asyncio.sleep(LISTEN_RETRY_SECONDS)
        changes.listen()
        self._hears_changes.set()
        self.reviewer.on_gap()

    async def _learn_ended(self) -> None:
        """Which sign-ins have ended that this process did not hear of."""
        for sign_in, seconds in (await self.layer.ended_sign_ins()).items():
            self._end_sign_in(sign_in, seconds)

    async def _catch_up(self) -> None:
        while True:
            try:
                await self._learn_ended()
                return
            except LayerUnavailable:
                await asyncio.sleep(LISTEN_RETRY_SECONDS)

    async def _ask_for_changes(self, asked: list[tuple[str, str]]) -> list[float | Exception]:
        return list(await self.layer.last_changes(asked))

    def check_soon(self) -> None:
        """Compare every room with where it really stands: broadcasts may have been missed."""
        self.reviewer.on_gap()
        self._catching_up = asyncio.create_task(self._catch_up(), name="realtime-catch-up")
        for room in self.rooms.values():
            room.check_at = 0.0
        self._patrol_now.set()
        self.roster.refresh()

    def _local_room(self, name: str) -> LocalRoom:
        feed = Feed(
            name,
            self.layer,
            on_publication=lambda publication: self._deliver(name, room, publication),
            on_lost=lambda: self._on_lost(name),
        )
        room = LocalRoom(feed, check_at=self._next_check())
        return room

    def _deliver(self, name: str, room: LocalRoom, publication: Publication) -> None:
        """Hand out in the same tick what comes to a quiet room, and together what comes close after
        it."""
        room.batch.append(publication)
        if room.flush is None:
            loop = asyncio.get_running_loop()
            if loop.time() >= room.fresh_until:
                # What came in the same piece of data goes along.
                room.flush = loop.call_soon(self._flush, name, room)
            else:
                room.flush = loop.call_at(room.fresh_until, self._flush, name, room)
        elif len(room.batch) >= BATCH_MAX:
            self._flush(name, room)

    def _flush(self, name: str, room: LocalRoom) -> None:
        if room.flush is not None:
            room.flush.cancel()
            room.flush = None
        batch, room.batch = room.batch, []
        if not batch:
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._fan_out(room.sessions, lambda protocol: _encode_batch(protocol, name, batch))
        # A fan-out that takes long, to many or on a slow server, makes the next one wait: what
        # comes meanwhile costs hardly more than one message.
        rest = REST_SHARE * (loop.time() - begun)
        room.fresh_until = begun + max(realtime_settings.COALESCE_SECONDS, rest)

    def _fan_out(
        self, sessions: Iterable[Session], encode: Callable[[WireProtocol], list[str]]
    ) -> None:
        """Hand the frames that `encode` makes to sessions, made once a protocol."""
        encoded: dict[str, list[str]] = {}
        # A copy: a session that is cut for its full outbox leaves the room at once.
        for session in list(sessions):
            protocol = session.protocol
            frames = encoded.get(protocol.name)
            if frames is None:
                frames = encoded[protocol.name] = encode(protocol)
            try:
                for frame in frames:
                    session.deliver(frame)
            except Exception:
                logger.exception("a session could not be delivered to; the others go on")

    def _on_lost(self, name: str) -> None:
        self._flush(name, self.rooms[name])
        for session in list(self.rooms[name].sessions):
            session.unsubscribe(name, UnsubscribeCode.INSUFFICIENT_STATE, "insufficient state")

    # What comes through the layer

    async def _start_receiving(self) -> None:
        async with self._starting:
            if not self._tasks:
                self._channel = await self.layer.new_channel("realtime.hub.")
                self.layer.on_message(self._channel, self._receive)
                self.layer.on_reconnect(self.check_soon)
                self._tasks = [asyncio.create_task(self._patrol(), name="realtime-patrol")]

    def _receive(self, message: dict[str, Any]) -> None:
        try:
            self._dispatch(message)
        except Exception:
            # One message that can't be read must not end the delivery of all others.
            logger.exception("a message of the channel layer could not be delivered")

    def _dispatch(self, message: dict[str, Any]) -> None:
        room = self.rooms.get(message.get("room", ""))
        if message["type"] == PUBLICATION:
            if room is not None:
                publication = _decode_publication(message["body"])
                publication.offset = message["offset"]
                room.feed.accept(message["epoch"], publication)
        elif message["type"] == PRESENCE:
            if room is not None:
                self._tell_watchers(message["room"], room, message["joined"], message["left"])
        elif message["type"] == RECHECK:
            for session in self._of_sign_ins(message["user"], message["own"]):
                session.accept_password(message["password"])
            self.reviewer.on_change(message["user"], message["room"])
        elif message["type"] == NEW_SIGN_IN:
            self._rename_sign_in(**message)
        elif message["type"] == REMOVAL:
            self._remove(**message)
        elif message["type"] == NOTICE:
            self._show_notice(**message)
        else:
            logger.warning("a message of unknown type came to the hub: %r", message["type"])

    def _of_sign_ins(self, user: str | None, sign_ins: list[str]) -> list[Session]:
        if user is None or not sign_ins:
            return []
        return [it for it in self.reviewer.sessions_of(user) if it.sign_in in sign_ins]

    def _rename_sign_in(self, *, type: str, user: str, old: str, new: str) -> None:
        for session in [it for it in self.sessions if it.sign_in == old]:
            if user and session.user_id == user:
                session.rename_sign_in(new)
            else:
                session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _remove(
        self,
        *,
        type: str,
        user: str | None,
        session: str,
        client: str,
        room: str,
        code: int,
        reason: str,
    ) -> None:
        """End connections, or their being in a room, as the server was asked to."""
        for it in list(self.sessions) if user is None else self.reviewer.sessions_of(user):
            if (session and it.sign_in != session) or (client and it.id != client):
                continue
            if room:
                it.unsubscribe(room, UnsubscribeCode.BY_SERVER, reason or "taken out by the server")
            else:
                it.close(CloseCode(code), reason)
        if session and not room:
            lifetime = api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()
            self._end_sign_in(session, lifetime)

    def _show_notice(
        self, *, type: str, user: str | None, client: str, room: str, text: str
    ) -> None:
        for it in list(self.sessions) if user is None else self.reviewer.sessions_of(user):
            if (not client or it.id == client) and (not room or room in it.rooms):
                it.show_notice(text)

    def _end_sign_in(self, sign_in: str, seconds: float) -> None:
        """An access token outlives its sign-in by some minutes: it must not come back with it."""
        now = asyncio.get_running_loop().time()
        ended = self._ended_sign_ins.items()
        self._ended_sign_ins = {it: until for it, until in ended if until > now}
        self._ended_sign_ins[sign_in] = now + seconds
        for session in [it for it in self.sessions if it.sign_in == sign_in]:
            session.close(CloseCode.INVALID_TOKEN, "signed out")

    def _tell_watchers(
        self, name: str, room: LocalRoom, joined: list[bytes], left: list[bytes]
    ) -> None:
        for encoded in joined:
            self._tell(name, room, "join", _decode_info(encoded))
        for encoded in left:
            self._tell(name, room, "leave", _decode_info(encoded))

    def _tell(self, name: str, room: LocalRoom, event: str, info: ClientInfo) -> None:
        self._fan_out(room.watchers, lambda protocol: [protocol.encode_presence(name, event, info)])

    # What goes wrong unseen

    async def _patrol(self) -> None:
        """Find gaps that no later message shows."""
        while True:
            try:
                async with asyncio.timeout(PATROL_SECONDS):
                    await self._patrol_now.wait()
            except TimeoutError:
                pass
            self._patrol_now.clear()
            now = asyncio.get_running_loop().time()
            due = [name for name, room in self.rooms.items() if room.check_at <= now]
            for start in range(0, len(due), POSITIONS_AT_ONCE):
                try:
                    await self._check(due[start : start + POSITIONS_AT_ONCE])
                except LayerUnavailable:
                    break  # those that were not checked stay due
                except Exception:
                    logger.exception("the positions of rooms could not be checked")

    async def _check(self, names: list[str]) -> None:
        asked_at = {name: self.rooms[name].feed.position for name in names if name in self.rooms}
        for name, position in (await self.layer.positions(list(asked_at))).items():
            room = self.rooms.get(name)
            if room is not None:
                room.check_at = self._next_check()
                room.feed.compare(position, asked_at[name])

    def _next_check(self) -> float:
        pause: float = realtime_settings.POSITION_CHECK_SECONDS * random.uniform(1, CHECK_JITTER)
        return asyncio.get_running_loop().time() + pause

    async def _leave_group(self, name: str, room: LocalRoom) -> None:
        async with room.lock:
            if room.sessions or room.starting or self.rooms.get(name) is not room:
                return
            if room.in_group:
                room.in_group = False
                room.feed.forget()
                try:
                    await self.layer.group_discard(group_name(name), self._channel)
                except LayerUnavailable as error:
                    # What still comes for the room finds no session.
                    logger.debug("a group could not be left: %s", error)
            if not room.sessions and not room.starting:
                del self.rooms[name]
                await room.feed.close()


def _encode_batch(protocol: WireProtocol, name: str, batch: list[Publication]) -> list[str]:
    """The frames of some publications: one, as long as it does not get too large."""
    encoded = [protocol.encode_publication(name, publication) for publication in batch]
    if protocol.separator is None or len(encoded) == 1:
        return encoded
    frames, frame, size = [], [encoded[0]], len(encoded[0])
    for text in encoded[1:]:
        if size + len(text) > FRAME_CHARACTERS:
            frames.append(protocol.separator.join(frame))
            frame, size = [], 0
        frame.append(text)
        size += len(text)
    frames.append(protocol.separator.join(frame))
    return frames


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """The hub of the running event loop, for the layer that is configured now."""
    loop, layer = asyncio.get_running_loop(), get_layer()
    hub = _hubs.get(loop)
    if hub is None or hub.layer is not layer:
        hub = _hubs[loop] = Hub(layer)
    return hub


async def close_hub() -> None:
    """Close the hub of the running event loop, if there is one."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.close()
