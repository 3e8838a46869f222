"""What Redis refuses is said, in the log and to the caller, and heals when it is allowed again."""

import asyncio
import logging
import random

import pytest
import redis
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, ResponseError

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.layers.redis import refusals, subscriber
from realtime.rooms.publications import Retention
from realtime.sparse_log import SparseLogs
from tests.support import processes

KEEP_THREE = Retention(3, 60)
PASSWORD = "a-pass-word-of-Redis"


@pytest.fixture(autouse=True)
def said(monkeypatch, caplog):
    """What is logged in this test, at most once a minute for each kind."""
    monkeypatch.setattr(refusals, "_log", SparseLogs(logging.getLogger("realtime.layers.redis")))
    caplog.set_level(logging.INFO, "realtime")

    def _said():
        assert "secret" not in caplog.text
        assert PASSWORD not in caplog.text
        assert not any(record.exc_info for record in caplog.records)
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and "refuses" in record.getMessage()
        ]

    return _said


@pytest.fixture
def own_redis(tmp_path):
    """A Redis for one test, and a client of its administrator."""
    port = processes.free_port()
    server = processes.start_redis(tmp_path, port)
    client = redis.Redis(port=port)
    client.url = f"127.0.0.1:{port}"
    yield client
    client.close()
    server.stop()


async def until(holds):
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.02)


async def refused(layer):
    with pytest.raises(LayerUnavailable) as raised:
        await layer.append("lobby", b'"secret"', KEEP_THREE)
    with pytest.raises(LayerUnavailable) as in_thread:
        await asyncio.to_thread(layer.append_sync, "lobby", b'"secret"', KEEP_THREE)
    assert str(in_thread.value) == str(raised.value)
    return str(raised.value)


async def allowed(layer):
    try:
        await layer.append("lobby", b"1", KEEP_THREE)
    except LayerUnavailable:
        return False
    return True


def out_of_memory(client):
    client.config_set("maxmemory", "1")
    return lambda: client.config_set("maxmemory", "0")


def without_replicas(client):
    client.config_set("min-replicas-to-write", "1")
    return lambda: client.config_set("min-replicas-to-write", "0")


def a_replica(client):
    client.replicaof("127.0.0.1", "1")
    return lambda: client.replicaof("no", "one")


def without_password(client):
    client.config_set("requirepass", PASSWORD)
    client.client_kill_filter(_type="normal", skipme=True)
    client.client_kill_filter(_type="pubsub")

    def heal():
        client.config_set("requirepass", "")

    return heal


REFUSING = {
    "OOM": (out_of_memory, "maxmemory"),
    "NOREPLICAS": (without_replicas, "min-replicas-to-write"),
    "READONLY": (a_replica, "Sentinels"),
    "NOAUTH": (without_password, "URL of the host"),
}


@pytest.mark.parametrize("kind", REFUSING)
async def test_a_refusal_is_said_once_and_heals(kind, own_redis, open_redis_layer, said):
    layer = open_redis_layer(hosts=[f"redis://{own_redis.url}"])
    await layer.append("lobby", b"1", KEEP_THREE)
    await asyncio.to_thread(layer.append_sync, "lobby", b"1", KEEP_THREE)
    refuse, cure = REFUSING[kind]
    heal = refuse(own_redis)
    sentences = []

    async def is_said():
        try:
            sentences.append(await refused(layer))
        except AssertionError:  # connections that were killed
            return False
        return kind in sentences[-1]

    await until(is_said)
    assert cure in sentences[-1]
    assert [line for line in said() if kind in line] == [sentences[-1]]
    await refused(layer)
    assert len(said()) == 1
    heal()
    await until(lambda: allowed(layer))
    await asyncio.to_thread(layer.append_sync, "lobby", b"3", KEEP_THREE)


@pytest.fixture
def loading_redis(tmp_path):
    """The URL of a Redis that reads its data for some seconds: each key takes 20 ms."""
    port = processes.free_port()
    server = processes.start_redis(tmp_path, port)
    client = redis.Redis(port=port)
    # It answers others after each KiB.
    client.mset({f"key-{number}": random.randbytes(2_000) for number in range(150)})
    client.save()
    client.close()
    server.stop()
    server.popen.wait()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    server = processes.start([*command, *slow], tmp_path / "loading.log", port)
    yield f"redis://127.0.0.1:{port}"
    server.stop()


async def test_a_redis_that_is_loading_is_said_and_waited_for(
    loading_redis, open_redis_layer, said
):
    layer = open_redis_layer(hosts=[loading_redis])
    with pytest.raises(LayerUnavailable, match=r"LOADING .* wait until it is ready"):
        await layer.append("lobby", b"1", KEEP_THREE)
    await until(lambda: allowed(layer))
    await asyncio.to_thread(layer.append_sync, "lobby", b"3", KEEP_THREE)
    assert len([line for line in said() if "LOADING" in line]) == 1


async def test_a_wrong_password_is_said_and_a_right_one_heals(own_redis, open_redis_layer, said):
    own_redis.config_set("requirepass", "another")
    layer = open_redis_layer(hosts=[f"redis://:{PASSWORD}@{own_redis.url}"])
    sentence = await refused(layer)
    assert "WRONGPASS" in sentence and "URL of the host" in sentence
    with pytest.raises(LayerUnavailable, match="WRONGPASS"):
        await layer.new_channel()
    assert [line for line in said() if "WRONGPASS" in line] == [sentence]
    own_redis.config_set("requirepass", PASSWORD)
    await until(lambda: allowed(layer))
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)


async def test_members_hear_again_after_a_password_was_wanted(own_redis, open_redis_layer, said):
    """An error in answer to SUBSCRIBE is no answer to a ping."""
    layer = open_redis_layer(hosts=[f"redis://{own_redis.url}"])
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    back = asyncio.Event()
    layer.on_reconnect(back.set)
    heal = without_password(own_redis)

    async def is_said():
        return any("NOAUTH" in line for line in said())

    await until(is_said)
    heal()
    await asyncio.wait_for(back.wait(), 60)
    await layer.append("lobby", b"heard")
    message = await asyncio.wait_for(layer.receive(channel), 60)
    assert message["body"] == b"heard"


@pytest.fixture
def limited(own_redis, open_redis_layer):
    """A layer of a user of Redis with few rights: `limited("+@all", "-xadd")`."""

    def _limited(*rules):
        own_redis.execute_command("ACL", "SETUSER", "site", "on", f">{PASSWORD}", "~*", *rules)
        return open_redis_layer(hosts=[f"redis://site:{PASSWORD}@{own_redis.url}"])

    return _limited


async def test_what_could_not_be_broadcast_is_not_kept(limited, own_redis, said):
    layer = limited("+@all", "resetchannels")
    sentence = await refused(layer)
    assert "NOPERM" in sentence and "realtime redis-acl" in sentence
    page = await layer.history("lobby", limit=10)
    assert (page.position.offset, page.publications) == (0, [])
    assert said() == [sentence]
    own_redis.execute_command("ACL", "SETUSER", "site", "allchannels")
    assert (await layer.append("lobby", b"1", KEEP_THREE)).offset == 1


async def test_a_channel_that_is_not_allowed_stops_no_other(limited, own_redis, monkeypatch, said):
    monkeypatch.setattr(subscriber, "RETRY_REFUSED_SECONDS", 0.1)
    layer = limited("+@all", "resetchannels", "&*specific*", f"&*{group_name('lobby')}")
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    with pytest.raises(LayerUnavailable, match="NOPERM"):
        await layer.group_add(group_name("other"), channel)
    await layer.append("lobby", b"1")
    assert (await asyncio.wait_for(layer.receive(channel), 5))["body"] == b"1"
    # A right that is withdrawn later: Redis cuts the connection, the other channels come back.
    reconnected = asyncio.Event()
    layer.on_reconnect(reconnected.set)
    own_redis.execute_command("ACL", "SETUSER", "site", "resetchannels", "&*specific*")
    own_redis.client_kill_filter(_type="pubsub")
    await asyncio.wait_for(reconnected.wait(), 60)
    reconnected.clear()
    own_redis.execute_command("ACL", "SETUSER", "site", "allchannels")
    await asyncio.wait_for(reconnected.wait(), 60)
    await layer.append("lobby", b"2")
    assert (await asyncio.wait_for(layer.receive(channel), 5))["body"] == b"2"
    assert len([line for line in said() if "NOPERM" in line]) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ResponseError("MOVED 3999 127.0.0.1:6381"), "MOVED"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
        (NoPermissionError("this user has no permissions"), "NOPERM"),
        (AuthenticationError("Authentication required."), "NOAUTH"),
        (AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
        (ResponseError("ERR The user executing the script can't publish"), "NOPERM"),
        (ResponseError("ERR ACL failure in script: No permissions to access a key"), "NOPERM"),
        (ResponseError("ACL failure in script: No permissions to access a channel"), "NOPERM"),
        (ResponseError("ERR unknown command 'XADD'"), "ERR"),
        (ResponseError("unknown command 'XADD'"), "ERR"),
        (
            ResponseError("WRONGTYPE Operation against a key script: abc, on @user_script:1."),
            "WRONGTYPE",
        ),
    ],
)
def test_errors_of_both_readers_have_a_kind_and_a_cure(error, kind):
    found = refusals.refusal(error)
    assert found.kind == kind
    assert refusals.CURES[kind] in str(found)
    assert "user_script" not in str(found)


def test_arguments_that_redis_repeats_are_left_out():
    error = ResponseError("ERR unknown command 'X', with args beginning with: 'secret'")
    assert "secret" not in str(refusals.refusal(error))


def test_a_lost_connection_is_no_refusal():
    assert refusals.refusal(ConnectionError("Error 111 connecting")) is None
    assert type(refusals.report(OSError())) is LayerUnavailable
