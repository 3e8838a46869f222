"""Everybody else: members who talk, people who come, people whose access is withdrawn."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .sockets import Gone, Socket, lines

RATE = 40
"""Messages a second, of one member."""
COMES_EVERY_SECONDS = 0.05
REVOKED_EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 20
_STAMP = re.compile(rb'"stamp": ?(\d+)')


@dataclass
class Experience:
    """What the bystanders saw for a while. Times are in seconds."""

    seconds: float
    sent: int = 0
    delivered: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    revoked: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return median(self.delivered) if self.delivered else PATIENCE_SECONDS

    @property
    def p99(self) -> float:
        ordered = sorted(self.delivered)
        return ordered[int(len(ordered) * 0.99)] if ordered else PATIENCE_SECONDS


class Bystanders:
    """Bob speaks, Carol listens, others come and go and sign out."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._codes: Counter[str] = Counter()
        self._sent_at: dict[int, float] = {}
        self._stamps = 0
        self._now: Experience | None = None
        self._leavers: list[tuple[str, str]] = []

    async def enter(self, leavers: int) -> None:
        """Connect, and sign in those who will sign out."""
        self._bob = await asyncio.to_thread(self._sign_in, "bob")
        carol = await asyncio.to_thread(self._sign_in, "carol")
        self._speaker = await self._member(self._bob[0], None)
        self._listener = await self._member(carol[0], self._hear)
        for _ in range(leavers):
            self._leavers.append(await asyncio.to_thread(self._sign_in, "carol"))

    async def live(self, seconds: float) -> Experience:
        """Talk, come and go for so long; returns what was seen."""
        self._now = Experience(seconds)
        ends_at = time.monotonic() + seconds
        await asyncio.gather(self._talk(ends_at), self._come(ends_at), self._revoke(ends_at))
        patience = time.monotonic() + PATIENCE_SECONDS
        while len(self._now.delivered) < self._now.sent and time.monotonic() < patience:
            await asyncio.sleep(0.05)
        if missing := self._now.sent - len(self._now.delivered):
            self._now.problems.append(f"{missing} messages did not arrive")
        self._now.problems += [f"a member got {code}" for code in self._codes]
        return self._now

    def leave(self) -> None:
        self._speaker.abort()
        self._listener.abort()

    async def _member(self, token: str, on_text: Callable[[bytes], None] | None) -> Socket:
        socket = Socket(self._codes, on_text)
        await socket.open(self._port, token)
        await socket.call(id=1, connect={})
        await socket.call(id=2, subscribe={"channel": "lobby"})
        return socket

    def _hear(self, payload: bytes) -> None:
        if self._now is None:
            return
        for stamp in _STAMP.findall(payload):
            began_at = self._sent_at.pop(int(stamp), None)
            if began_at is not None:
                self._now.delivered.append(time.monotonic() - began_at)

    async def _talk(self, ends_at: float) -> None:
        assert self._now is not None
        due = time.monotonic()
        while due < ends_at:
            await asyncio.sleep(max(0, due - time.monotonic()))
            self._stamps += 1
            self._sent_at[self._stamps] = time.monotonic()
            data = {"stamp": self._stamps}
            try:
                await self._speaker.write(
                    lines({"id": 9, "publish": {"channel": "lobby", "data": data}})
                )
            except Gone:
                self._now.problems.append("a member was closed")
                return
            self._now.sent += 1
            due += 1 / RATE

    async def _come(self, ends_at: float) -> None:
        assert self._now is not None
        while time.monotonic() < ends_at:
            began_at = time.monotonic()
            codes: Counter[str] = Counter()
            socket = Socket(codes)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await socket.open(self._port, self._bob[0])
                    await socket.call(id=1, connect={})
                    await socket.call(id=2, subscribe={"channel": "lobby"})
            except (Gone, OSError, EOFError, TimeoutError):
                self._now.problems.append("nobody could connect")
            self._now.problems += [f"who connected got {code}" for code in codes]
            self._now.connected.append(time.monotonic() - began_at)
            socket.abort()
            await asyncio.sleep(began_at + COMES_EVERY_SECONDS - time.monotonic())

    async def _revoke(self, ends_at: float) -> None:
        assert self._now is not None
        while time.monotonic() < ends_at and self._leavers:
            access, refresh = self._leavers.pop()
            codes: Counter[str] = Counter()
            socket = Socket(codes)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await socket.open(self._port, access)
                    await socket.call(id=1, connect={})
                    began_at = time.monotonic()
                    signing_out = asyncio.to_thread(self._post, "logout", {"refresh": refresh})
                    await asyncio.gather(signing_out, socket.closed())
                    self._now.revoked.append(time.monotonic() - began_at)
            except (Gone, OSError, EOFError, TimeoutError):
                self._now.problems.append("somebody was not disconnected")
            if codes and set(codes) != {"3500"}:
                self._now.problems.append(f"who signed out got {', '.join(codes)}")
            socket.abort()
            await asyncio.sleep(REVOKED_EVERY_SECONDS)

    def _sign_in(self, user: str) -> tuple[str, str]:
        from config.management.commands.demo import PASSWORD  # needs Django to be set up

        tokens = self._post("token", {"username": user, "password": PASSWORD})
        return tokens["access"], tokens["refresh"]

    def _post(self, name: str, data: dict[str, str]) -> dict[str, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/api/{name}/",
            json.dumps(data).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found: dict[str, str] = json.loads(answer.read() or b"{}")
            return found
