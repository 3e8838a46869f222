"""Sessions without sockets."""

import asyncio
import json

from realtime.connection.dispatcher import Dispatcher


class RecordingTransport:
    """Keeps what a session writes."""

    def __init__(self):
        self.frames = []
        self.closed = None
        self.changed = asyncio.Event()

    def write(self, frame):
        if frame:
            self.frames += [json.loads(line) for line in frame.split("\n")]
            self.changed.set()

    write_along = write

    def flush(self):
        pass

    is_congested = False
    unsent_bytes = 0

    def acknowledge(self):
        return True

    def close(self, code, reason, last=""):
        if last:
            self.write(last)
        self.closed = (code, reason)
        self.changed.set()

    async def until(self, matches):
        async with asyncio.timeout(60):
            while True:
                for frame in self.frames:
                    if matches(frame):
                        return frame
                self.changed.clear()
                await self.changed.wait()

    async def until_closed(self):
        async with asyncio.timeout(60):
            while self.closed is None:
                self.changed.clear()
                await self.changed.wait()
        return self.closed[0]


_ids = iter(range(1, 1_000_000))


_dispatchers = {}


def dispatcher_of(session):
    """A transport that keeps the frames of a session."""
    if session.id not in _dispatchers:
        _dispatchers[session.id] = Dispatcher(session)
    return _dispatchers[session.id]


async def send(session, text):
    """Send one frame, and wait until its commands are done."""
    rest = dispatcher_of(session).receive(text)
    if rest is not None:
        await rest


async def call(session, **command):
    """Send one command and return its reply."""
    id = next(_ids)
    await send(session, json.dumps({"id": id, **command}))
    if "publish" in command and session.transport.closed is None:
        # Its reply comes when it is kept; the next command need not wait for that.
        return await session.transport.until(lambda frame: frame.get("id") == id)
    for frame in session.transport.frames:
        if frame.get("id") == id:
            return frame
    return None


def is_publication(frame):
    return "pub" in frame.get("push", {})
