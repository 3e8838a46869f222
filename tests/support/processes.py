"""Redis and server processes that tests start on free ports, and stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIGNING_KEY = "a-shared-secret-of-the-tests-with-more-than-32-bytes"
START_SECONDS = 90


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Process:
    """A program that runs until `stop`; what it prints is in `log`."""

    popen: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """Kill with SIGKILL, as the kernel does when memory runs out, with its own processes."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def terminate_group(self) -> None:
        """Send SIGTERM to the whole process group, as some supervisors do."""
        os.killpg(self.popen.pid, signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang, with its connections open."""
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    def stop(self, seconds: float = 10) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def start(command: list[str], log: Path, port: int, env: dict[str, str] | None = None) -> Process:
    """Start a program, in a process group of its own, and wait until it listens on `port`."""
    with log.open("ab") as output:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            process_group=0,
        )
    process = Process(popen, log)
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if popen.poll() is not None or time.monotonic() > deadline:
            process.stop()
            raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)
    return process


def start_redis(folder: Path, port: int, *more: str, durable: bool = False) -> Process:
    """Start Redis. When it is `durable`, it has all data again after a restart in this folder."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is missing; `make test` installs it")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    options += ["--appendonly", "yes" if durable else "no", "--appendfsync", "always"]
    return start(
        [program, *options, *more, "--dir", str(folder)], folder / f"redis-{port}.log", port
    )


SERVERS: dict[str, Callable[[int, str], list[str]]] = {
    "daphne": lambda port, application: [
        *[sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application],
    ],
    "uvicorn": lambda port, application: [
        *[sys.executable, "-m", "uvicorn", application, "--port", str(port)],
        *["--ws", "websockets-sansio", "--loop", "uvloop", "--log-level", "debug"],
    ],
    "uvicorn-legacy": lambda port, application: [
        *[sys.executable, "-m", "uvicorn", application, "--port", str(port)],
        *["--ws", "websockets", "--log-level", "debug"],
    ],
    "uvicorn-wsproto": lambda port, application: [
        *[sys.executable, "-m", "uvicorn", application, "--port", str(port)],
        *["--ws", "wsproto", "--log-level", "debug"],
    ],
    "uvicorn-fast": lambda port, application: [
        *[sys.executable, "-m", "uvicorn", application, "--port", str(port)],
        *["--ws", "realtime.uvicorn:WebSocketProtocol", "--loop", "uvloop"],
        *["--log-level", "debug"],
    ],
    "uvicorn-workers": lambda port, application: [
        *[sys.executable, "-m", "uvicorn", application, "--port", str(port), "--workers", "2"],
        *["--ws", "realtime.uvicorn:WebSocketProtocol"],
    ],
    "runserver": lambda port, application: [
        *[sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    ],
}


@dataclass
class Site:
    """A running server of the example site."""

    process: Process
    port: int
    env: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/"

    def token(self, user: str) -> str:
        """Sign a demo user in."""
        from config.management.commands.demo import PASSWORD

        request = urllib.request.Request(
            self.url + "/api/token/",
            json.dumps({"username": user, "password": PASSWORD}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            access: str = json.load(answer)["access"]
            return access

    def manage(self, *args: str) -> str:
        """Run `manage.py` beside the server, with its settings."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def shell(self, code: str) -> str:
        """Run Python beside the server; returns what it prints."""
        return self.manage("shell", "--verbosity", "0", "-c", code).strip()


def start_site(
    server: str,
    folder: Path,
    env: dict[str, str],
    port: int = 0,
    application: str = "config.asgi:application",
    options: Sequence[str] = (),
) -> Site:
    port = port or free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.settings.base",
        "DJANGO_DEBUG": "1",
        "JWT_SIGNING_KEY": SIGNING_KEY,
        "PYTHONUNBUFFERED": "1",
        **env,
    }
    command = [*SERVERS[server](port, application), *options]
    process = start(command, folder / f"{server}-{port}.log", port, env)
    return Site(process, port, env)
