"""The site under check: Redis with persistence, and two servers. Each can be killed and started."""

from __future__ import annotations

import io
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.delivery.clients import ROOM
from tests.support import processes

SERVERS = ("daphne", "uvicorn-fast")
REDIS_DOWN_SECONDS = 1.0
TOKEN_SECONDS = 7_200


@dataclass(frozen=True)
class Plan:
    """The size of a run: messages, members, rate and failures."""

    messages: int
    members: int
    rate: float
    cut_every_seconds: float
    seed: int
    peer: str = "realtime"
    neighbours: bool = False
    """Whether bad neighbours disturb the members, and a second Redis dies again and again."""
    rounds: int = 1
    """How often each accident happens."""

    @property
    def is_ours(self) -> bool:
        return self.peer == "realtime"

    @property
    def settings(self) -> str:
        if not self.is_ours:
            return "tests.settings.tutorial"
        return "tests.settings.neighbours" if self.neighbours else "tests.settings.base"


class Site:
    """The room of the members is on the Redis `main`. With neighbours, there is a second one."""

    main = 0
    other = 1

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self._plan = plan
        self._ports = [processes.free_port() for _ in range(1 + plan.neighbours)]
        self._redis = [self._start_redis(port) for port in self._ports]
        ours = plan.is_ours
        self._application = "config.asgi:application" if ours else "tests.delivery.tutorial:"
        self._application += "" if ours else "application"
        self.urls = [f"redis://127.0.0.1:{port}/0" for port in self._ports]
        self.prefix = f"delivery-{uuid.uuid4().hex[:8]}"
        self.env = {
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "REDIS_URL": ",".join(self.urls),
            "REDIS_PREFIX": self.prefix,
            "DJANGO_SETTINGS_MODULE": plan.settings,
            "DJANGO_DEBUG": "1",
            "JWT_SIGNING_KEY": processes.SIGNING_KEY,
            "ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS),
        }
        self.servers: dict[str, processes.Site] = {}
        self.fragile_room = ""
        """A room of the Redis that dies."""

    def start(self, prepare: Callable[[Site], None]) -> None:
        """Start the servers. `prepare` adds to the database before."""
        os.environ.update(self.env)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("demo", stdout=io.StringIO())
        from realtime.models import Room

        rooms = [ROOM]
        if self._plan.neighbours:
            self.main = self._shard_of(ROOM)
            self.other = 1 - self.main
            self.fragile_room = next(self.rooms_on(self.other, "fragile"))
            rooms.append(self.fragile_room)
        for name in rooms:
            Room.objects.create(name=name, access=Room.Access.AUTHENTICATED, history_size=1_000)
        prepare(self)
        for name in SERVERS:
            self.start_server(name)

    def rooms_on(self, shard: int, prefix: str) -> Iterator[str]:
        """Names of rooms that are on a shard."""
        names = (f"{prefix}-{number}" for number in count())
        return (name for name in names if self._shard_of(name) == shard)

    def _shard_of(self, room: str) -> int:
        from realtime.layers import get_layer

        shard: int = get_layer().topology.room_index(room)
        return shard

    def start_server(self, name: str) -> None:
        port = self.servers[name].port if name in self.servers else 0
        self.servers[name] = processes.start_site(
            name, self.folder, self.env, port, self._application
        )

    def _start_redis(self, port: int) -> processes.Process:
        folder = self.folder / str(port)  # its data must not meet that of the other one
        folder.mkdir(exist_ok=True)
        return processes.start_redis(folder, port, durable=True)

    def restart_redis(self) -> None:
        self._redis[self.main].stop()
        time.sleep(REDIS_DOWN_SECONDS)
        self._redis[self.main] = self._start_redis(self._ports[self.main])

    def kill_other_redis(self) -> None:
        self._redis[self.other].kill()

    def start_other_redis(self) -> None:
        self._redis[self.other] = self._start_redis(self._ports[self.other])

    def hang_other_redis(self) -> None:
        self._redis[self.other].popen.send_signal(signal.SIGSTOP)

    def wake_other_redis(self) -> None:
        self._redis[self.other].popen.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for server in self.servers.values():
            server.process.kill()
        for redis in self._redis:
            redis.kill()
