"""Calls that can hang have a deadline: name servers, Sentinels, a Redis that does not answer."""

import asyncio
import shutil
import socket
import threading
import time

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from tests.support import processes

PROMISED_SECONDS = 2
SLACK_SECONDS = 4


@pytest.fixture
def hanging_name_server(monkeypatch):
    """`slow.example` is looked up for as long as the test takes."""
    ended = threading.Event()
    original = socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        if host in ("slow.example", b"slow.example"):
            ended.wait(60)
            raise socket.gaierror("no such host")
        return original(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield "redis://slow.example:6379"
    ended.set()


@pytest.fixture
def silent_ports():
    """Ports that accept connections and never answer."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()


@pytest.fixture
def sentinel(redis_server, tmp_path):
    """The port of a Sentinel that knows the Redis of the tests as `site`."""
    port = processes.free_port()
    master = redis_server.rpartition(":")[2]
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor site 127.0.0.1 {master} 1\n"
    )
    command = [shutil.which("redis-server"), str(configuration), "--sentinel"]
    process = processes.start(command, tmp_path / "sentinel.log", port)
    yield port
    process.stop()


async def fails_in_time(call):
    started = time.monotonic()
    with pytest.raises(LayerUnavailable):
        await call
    assert time.monotonic() - started < PROMISED_SECONDS + SLACK_SECONDS


async def test_a_publish_of_a_fresh_process_ends_in_time(open_redis_layer, hanging_name_server):
    layer = open_redis_layer(hosts=[hanging_name_server])
    await fails_in_time(asyncio.to_thread(layer.append_sync, "lobby", b"1"))
    await fails_in_time(layer.append("lobby", b"1"))
    await fails_in_time(layer.group_send(group_name("lobby"), {"type": "t"}))
    await fails_in_time(layer.new_channel())
    await fails_in_time(asyncio.to_thread(layer.store_ticket, "t", b"i", 1))


async def test_a_redis_that_takes_the_connection_but_is_silent(open_redis_layer, silent_ports):
    layer = open_redis_layer(hosts=[f"redis://127.0.0.1:{silent_ports[0]}"])
    for _ in range(2):
        await fails_in_time(asyncio.to_thread(layer.append_sync, "lobby", b"1"))
        await fails_in_time(layer.append("lobby", b"1"))


async def test_silent_sentinels_are_left_for_the_next_one(open_redis_layer, silent_ports, sentinel):
    sentinels = [("127.0.0.1", port) for port in (*silent_ports, sentinel)]
    layer = open_redis_layer(hosts=[{"sentinels": sentinels, "master_name": "site"}])
    channel = await until_available(layer.new_channel)
    await layer.group_add(group_name("lobby"), channel)
    await until_available(lambda: layer.append("lobby", b"1"))
    await until_available(lambda: asyncio.to_thread(layer.append_sync, "lobby", b"2"))
    async with asyncio.timeout(60):
        assert [(await layer.receive(channel))["body"] for _ in range(2)] == [b"1", b"2"]


async def test_sentinels_that_are_all_silent_end_in_time(open_redis_layer, silent_ports):
    sentinels = [("127.0.0.1", port) for port in silent_ports * 2]
    layer = open_redis_layer(hosts=[{"sentinels": sentinels, "master_name": "site"}])
    await fails_in_time(asyncio.to_thread(layer.append_sync, "lobby", b"1"))
    await fails_in_time(layer.append("lobby", b"1"))


async def until_available(call):
    """One attempt is enough, unless this machine is very slow."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except LayerUnavailable:
                await asyncio.sleep(0.1)


async def test_what_fails_in_the_thread_of_a_client_reaches_the_caller(open_redis_layer):
    layer = open_redis_layer()

    def fail(client):
        raise RuntimeError("a mistake of the caller")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(layer.topology.do_sync, "name", fail)
        await asyncio.to_thread(layer.append_sync, "lobby", b"1")
    with pytest.raises(RuntimeError):
        await asyncio.to_thread(
            layer.topology.on_shards_sync, lambda client, index: fail(client), [0, 0]
        )
