"""The measured servers, each started as its documentation recommends for production."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
UVICORN = ("--loop", "uvloop", "--no-access-log", "--log-level", "warning")
_BUN = str(FOLDER / "node_modules" / ".bin" / "bun")
_KEY = secrets.token_hex(32)


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    dialect: str
    command: Callable[[int], list[str]]
    """Returns the command of a server process that listens on this port of 127.0.0.1."""
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_alone: bool = False
    """Whether it does not support several processes."""
    is_long_only: bool = False
    """Whether the short form leaves it out, unless it is named."""

    @property
    def is_ours(self) -> bool:
        return self.dialect in ("realtime", "our socketio")

    @property
    def needs_node(self) -> bool:
        return self.command(0)[0] in ("node", _BUN)


def _daphne(application: str) -> Callable[[int], list[str]]:
    python = [sys.executable, "-m", "daphne", "-b", "127.0.0.1"]
    return lambda port: [*python, "-p", str(port), "-v", "0", application]


def _our_daphne(port: int) -> list[str]:
    """The command of `docs/servers.md`: with the backlog of 50, many clients wait for seconds."""
    endpoint = f"tcp:port={port}:interface=127.0.0.1:backlog=2048"
    daphne = [sys.executable, "-m", "daphne", "-e", endpoint]
    return [*daphne, "-v", "0", "config.asgi:application"]


def _uvicorn(application: str, ws: str = "websockets-sansio") -> Callable[[int], list[str]]:
    python = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--ws", ws]
    return lambda port: [*python, "--port", str(port), *UVICORN, application]


def _node(script: str) -> Callable[[int], list[str]]:
    return lambda port: ["node", str(FOLDER / script), str(port)]


def _bun(script: str) -> Callable[[int], list[str]]:
    return lambda port: [_BUN, str(FOLDER / script), str(port)]


_OURS = {
    "DJANGO_SETTINGS_MODULE": "benchmarks.site_settings",
    "DJANGO_SECRET_KEY": _KEY,
    "DJANGO_DEBUG": "",
    "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
    "JWT_SIGNING_KEY": "",
    "ACCESS_TOKEN_SECONDS": "86400",
}


def _tutorial(layer: str) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.tutorial_settings",
        "DJANGO_SECRET_KEY": _KEY,
        "CHANNEL_LAYER": f"channels_redis.{layer}",
    }


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "ours-uvicorn",
            "realtime on uvicorn with realtime.uvicorn:WebSocketProtocol",
            "realtime",
            _uvicorn("config.asgi:application", ws="realtime.uvicorn:WebSocketProtocol"),
            _OURS,
        ),
        Peer(
            "ours-socketio",
            "realtime on the same uvicorn, stock clients of Socket.IO",
            "our socketio",
            _uvicorn("config.asgi:application", ws="realtime.uvicorn:WebSocketProtocol"),
            _OURS,
        ),
        Peer(
            "ours-sansio",
            "realtime on uvicorn with its own websockets-sansio",
            "realtime",
            _uvicorn("config.asgi:application"),
            _OURS,
        ),
        Peer(
            "ours-daphne",
            "realtime on Daphne",
            "realtime",
            _our_daphne,
            _OURS,
        ),
        Peer(
            "channels-daphne",
            "the Channels tutorial on Daphne, channels_redis.core",
            "tutorial",
            _daphne("benchmarks.peers.tutorial:application"),
            _tutorial("core.RedisChannelLayer"),
        ),
        Peer(
            "channels-uvicorn",
            "the Channels tutorial on uvicorn, channels_redis.pubsub",
            "tutorial",
            _uvicorn("benchmarks.peers.tutorial:application"),
            _tutorial("pubsub.RedisPubSubChannelLayer"),
        ),
        Peer(
            "socketio",
            "Socket.IO with @socket.io/redis-adapter",
            "socketio",
            _node("socketio.mjs"),
            {"NODE_ENV": "production"},
        ),
        Peer(
            "socketio-unlimited",
            "Socket.IO, without the time limit that Node's Redis client has by default",
            "socketio",
            _node("socketio.mjs"),
            {"NODE_ENV": "production", "REDIS_COMMANDS": "unlimited"},
            is_long_only=True,
        ),
        Peer("ws", "ws with Redis", "bare", _node("ws.mjs"), {"NODE_ENV": "production"}),
        Peer(
            "uwebsockets",
            "uWebSockets, inside Bun, without Redis",
            "bare",
            _bun("uwebsockets.mjs"),
            is_alone=True,
        ),
        Peer(
            "python-socketio",
            "python-socketio with AsyncRedisManager on uvicorn",
            "socketio",
            _uvicorn("benchmarks.peers.python_socketio:application"),
        ),
    )
}
