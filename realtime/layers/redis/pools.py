"""Connection pools of redis-py for a host: a Redis by its URL or options, or Sentinels."""

from __future__ import annotations

import ssl
from types import ModuleType
from typing import Any

import redis
import redis.asyncio.sentinel
from redis.backoff import NoBackoff
from redis.connection import parse_url

from .availability import THREAD_TIMEOUT_SECONDS, TIMEOUT_SECONDS

Host = dict[str, Any]
"""Options of redis-py, or the URL of a Redis as `address`, or a `master_name` with `sentinels`."""

SENTINEL_SECONDS = 0.5
SENTINELS_SHARE = 0.8
"""The part of the timeout for all Sentinels together: the rest is for the master."""


def database(host: Host) -> int:
    """The number of the database that a host means."""
    return int(_parsed(host).get("db") or host.get("db") or 0)


def address_of(host: Host) -> str:
    """Where a Redis is: without users and passwords."""
    options = _parsed(host)
    where = options.get("master_name") or options.get("path") or options.get("unix_socket_path")
    return str(where or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")


def place(host: Host) -> str:
    """The address and the number of the database."""
    return f"{address_of(host)}/{database(host)}"


def create_pool(library: ModuleType, host: Host) -> Any:
    """Make a connection pool of `library`, which is `redis` or `redis.asyncio`."""
    seconds = _timeout(library)
    # redis-py must not retry commands: an append that timed out may have happened.
    timeouts = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": None}
    options = {**_checked_names(host), **host, **timeouts}
    if "address" in options:
        return library.ConnectionPool.from_url(options.pop("address"), **options)
    if "master_name" in options:
        master, sentinels = options.pop("master_name"), options.pop("sentinels")
        given = options.pop("sentinel_kwargs", None) or {}
        asked = library.sentinel.Sentinel(
            sentinels, sentinel_kwargs={**_sentinel_options(library, len(sentinels)), **given}
        )
        return library.sentinel.SentinelConnectionPool(master, asked, **options)
    return library.ConnectionPool(**options)


def pool_address(pool: Any) -> str:
    """Return where a pool connects to, without the password."""
    known = pool.connection_kwargs
    if "path" in known:
        return str(known["path"])
    if "host" in known:
        return f"{known['host']}:{known.get('port', 6379)}"
    return str(getattr(pool, "service_name", "an unknown address"))


async def close_pool(pool: Any) -> None:
    """Close the connections of a pool of `redis.asyncio`, and those to its Sentinels."""
    await pool.disconnect()
    if isinstance(pool, redis.asyncio.sentinel.SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.connection_pool.disconnect()


def _sentinel_options(library: ModuleType, count: int) -> dict[str, Any]:
    """A Sentinel that does not answer is left for the next one. redis-py has no timeout for them,
    and would try each ten times."""
    seconds = min(SENTINEL_SECONDS, SENTINELS_SHARE * _timeout(library) / max(count, 1))
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": library.retry.Retry(NoBackoff(), 0),
    }


def _checked_names(host: Host) -> Host:
    """With TLS the name in the certificate is checked, unless the site has said how. redis-py does
    so by itself from version 6 on."""
    given = {**host, **_parsed(host)}
    is_encrypted = given.get("ssl") or str(host.get("address", "")).startswith("rediss:")
    is_verified = given.get("ssl_cert_reqs", "required") not in ("none", None, ssl.CERT_NONE)
    return {"ssl_check_hostname": True} if is_encrypted and is_verified else {}


def _timeout(library: ModuleType) -> float:
    return THREAD_TIMEOUT_SECONDS if library is redis else TIMEOUT_SECONDS


def _parsed(host: Host) -> Host:
    if "address" not in host:
        return host
    parsed: Host = parse_url(host["address"])  # type: ignore[no-untyped-call]
    return parsed
