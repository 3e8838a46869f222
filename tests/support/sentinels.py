"""A master, its replicas and three Sentinels, as real processes."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import redis

from tests.support import processes

NAME = "rooms"
DOWN_MS = 700
SETTLE_SECONDS = 30


class Sentinels:
    """Redis with Sentinel: `host` is what `hosts` of the layer takes."""

    def __init__(self, folder: Path, *options: str, replicas: int = 1) -> None:
        self.folder, self.options = folder, options
        self.redis: dict[int, processes.Process] = {}
        self.sentinels: dict[int, processes.Process] = {}
        self.master = self._start_redis()
        for _ in range(replicas):
            self._start_redis("--replicaof", f"127.0.0.1 {self.master}")
        self.wait(self._is_replicated)
        for _ in range(3):
            self._start_sentinel()
        self.wait(self._is_watched)

    @property
    def host(self) -> dict[str, object]:
        addresses = [("127.0.0.1", port) for port in self.sentinels]
        return {"sentinels": addresses, "master_name": NAME}

    @property
    def replicas(self) -> list[int]:
        return [port for port in self.redis if port != self.master]

    def command(self, port: int, *words: object) -> object:
        with redis.Redis(port=port, socket_timeout=5) as client:
            return client.execute_command(*words)

    def info(self, port: int, section: str) -> dict[str, object]:
        with redis.Redis(port=port, socket_timeout=5) as client:
            return client.info(section)

    def named_master(self) -> int:
        """The port that most Sentinels name."""
        named = [
            int(self.command(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])
            for port, process in self.sentinels.items()
            if process.popen.poll() is None
        ]
        return max(set(named), key=named.count)

    def await_promotion(self) -> int:
        """Wait until the Sentinels name another master, which takes writes."""
        before = self.master

        def promoted() -> bool:
            port = self.named_master()
            return port != before and self.info(port, "replication")["role"] == "master"

        self.wait(promoted)
        self.master = self.named_master()
        return self.master

    def wait(self, holds) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                if holds():
                    return
            assert time.monotonic() < deadline, f"{holds} did not come true"
            time.sleep(0.05)

    def stop(self) -> None:
        for process in [*self.sentinels.values(), *self.redis.values()]:
            process.resume()
            process.stop()

    def _start_redis(self, *more: str) -> int:
        port = processes.free_port()
        folder = self.folder / f"redis-{port}"
        folder.mkdir()
        quick = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        self.redis[port] = processes.start_redis(folder, port, *quick, *self.options, *more)
        return port

    def _start_sentinel(self) -> None:
        port = processes.free_port()
        folder = self.folder / f"sentinel-{port}"
        folder.mkdir()
        path = folder / "sentinel.conf"
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor {NAME} 127.0.0.1 {self.master} 2",
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}",
            f"sentinel failover-timeout {NAME} 6000",
        ]
        path.write_text("\n".join(lines) + "\n")
        program = shutil.which("redis-server")
        assert program is not None
        command = [program, str(path), "--sentinel"]
        self.sentinels[port] = processes.start(command, folder / "log", port)

    def _is_replicated(self) -> bool:
        return all(
            self.info(port, "replication")["master_link_status"] == "up" for port in self.replicas
        )

    def _is_watched(self) -> bool:
        """Whether each Sentinel knows the replicas and the others."""
        for port in self.sentinels:
            with redis.Redis(port=port, socket_timeout=5) as client:
                state = client.sentinel_master(NAME)
            if state["num-slaves"] < len(self.replicas) or state["num-other-sentinels"] < 2:
                return False
        return True
