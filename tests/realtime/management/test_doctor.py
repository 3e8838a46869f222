"""`manage.py realtime doctor` and `redis-acl`, on a real Redis that is wrong in some way."""

import contextlib
import json
import shlex
import time
from io import StringIO

import pytest
import redis
from channels.layers import channel_layers
from django.core.management import CommandError, call_command
from django.db import connection

from realtime.layers.redis import RedisRoomLayer
from realtime.management.doctor import redis_servers
from realtime.models import Room
from tests.support import processes

pytestmark = pytest.mark.django_db

PREFIX = "clinic"


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory):
    """`port, admin`: a Redis whose configuration tests may spoil."""
    port = processes.free_port()
    server = processes.start_redis(tmp_path_factory.mktemp("redis"), port)
    with redis.Redis(port=port) as admin:
        yield port, admin
    server.stop()


@pytest.fixture
def admin(own_redis):
    """A client that may do everything; what it configures is set back."""
    _, admin = own_redis
    names = ("maxmemory", "maxmemory-policy", "client-output-buffer-limit", "timeout")
    before = {name: admin.config_get(name)[name] for name in names}
    yield admin
    for name, value in before.items():
        admin.config_set(name, value)


@pytest.fixture
def configure():
    """`configure(url, ...)`: the site uses these Redis."""
    before = channel_layers.backends.get("default")
    yield lambda *hosts: channel_layers.set("default", RedisRoomLayer(list(hosts), PREFIX))
    if before is None:
        del channel_layers.backends["default"]
    else:
        channel_layers.set("default", before)


@pytest.fixture
def url(own_redis, configure):
    port, _ = own_redis
    address = f"redis://127.0.0.1:{port}"
    configure(address)
    return address


def doctor(*options):
    """The remarks, as (level, what it is about, sentence and cure)."""
    printed = StringIO()
    with contextlib.suppress(CommandError):
        call_command("realtime", "doctor", "--json", *options, stdout=printed)
    return [
        (each["level"], each["about"], f"{each['text']} {each['cure']}")
        for each in json.loads(printed.getvalue())
    ]


def of_redis(level):
    return [text for found, about, text in doctor() if found == level and "Redis" in about]


def test_a_redis_that_is_well_is_said_to_answer(url, admin):
    assert of_redis("error") == [] and of_redis("warning") == []
    (fine,) = of_redis("fine")
    assert fine.startswith("Redis ") and " answers in " in fine


def test_a_redis_that_does_not_answer_is_an_error(configure, unused_port):
    configure(f"redis://me:secret@127.0.0.1:{unused_port}")
    printed = StringIO()
    with pytest.raises(CommandError, match="level error"):
        call_command("realtime", "doctor", stdout=printed)
    assert f"Redis at 127.0.0.1:{unused_port}" in printed.getvalue()
    assert "does not answer" in printed.getvalue() and "secret" not in printed.getvalue()


def test_a_host_that_is_named_twice_is_found(own_redis, configure):
    port, _ = own_redis
    configure(f"redis://127.0.0.1:{port}", f"redis://localhost:{port}")
    assert of_redis("warning") == ["It is named twice in `hosts`. Name each Redis once."]


@pytest.mark.parametrize(
    ("settings_of_redis", "level", "words"),
    [
        ({"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}, "warning", "allkeys-lru"),
        ({"maxmemory-policy": "allkeys-lru"}, "note", "allkeys-lru"),
        ({"maxmemory": "1mb"}, "warning", "of maxmemory is used"),
        (
            {"client-output-buffer-limit": "pubsub 1000000 0 0"},
            "warning",
            "client-output-buffer-limit",
        ),
        ({"timeout": "30"}, "warning", "idle for 30 s"),
    ],
)
def test_what_a_redis_is_told_to_do_is_looked_at(url, admin, settings_of_redis, level, words):
    assert not any(words in text for text in of_redis(level))
    for name, value in settings_of_redis.items():
        admin.config_set(name, value)
    assert any(words in text for text in of_redis(level))


def test_a_replica_is_an_error(url, admin, unused_port):
    admin.replicaof("127.0.0.1", unused_port)
    try:
        assert any("is a replica" in text for text in of_redis("error"))
    finally:
        admin.replicaof("NO", "ONE")


def test_an_account_with_the_printed_rights_is_well(url, own_redis, configure, admin):
    printed = StringIO()
    call_command("realtime", "redis-acl", "--user", "site", stdout=printed)
    comment, rule = printed.getvalue().splitlines()
    assert comment == f"# 127.0.0.1:{own_redis[0]}/0"
    admin.execute_command(*shlex.split(rule.replace(">PASSWORD", ">secret")))
    configure(f"redis://site:secret@127.0.0.1:{own_redis[0]}")
    assert of_redis("error") == []
    assert any("CONFIG GET" in text for text in of_redis("note"))
    admin.execute_command("ACL", "SETUSER", "site", "-xadd", "resetchannels")
    (lacking,) = of_redis("error")
    assert "the command XADD, channels like clinic__group__*" in lacking and "redis-acl" in lacking


@pytest.mark.parametrize(("shift", "words"), [(30, "ahead of"), (-30, "behind")])
def test_a_clock_that_differs_is_named(url, admin, monkeypatch, shift, words):
    real = time.time
    monkeypatch.setattr(redis_servers.time, "time", lambda: real() + shift)
    (found,) = [text for text in of_redis("warning") if "clock" in text]
    assert words in found and "30.0 s" in found


def test_the_database_is_looked_at(url):
    found = [
        (level, text) for level, about, text in doctor() if about == f"database {connection.alias}"
    ]
    assert any(level == "fine" and "answers in" in text for level, text in found)
    assert any("SQLite" in text for _, text in found) == (connection.vendor == "sqlite")


def test_missing_tables_are_an_error(url):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'realtime'")
    assert any("manage.py migrate" in text for level, _, text in doctor() if level == "error")
    assert Room.objects.count() >= 0


def test_the_checks_are_part_of_it(url, settings):
    settings.REALTIME = {"ALLOWED_ORIGINS": ["*"]}
    assert any(
        level in ("warning", "error") and "(realtime." in about for level, about, _ in doctor()
    )


def test_the_exit_status_is_for_scripts(url, settings, admin):
    found = [about.partition(" (")[2][:-1] for level, about, _ in doctor() if level != "fine"]
    settings.SILENCED_SYSTEM_CHECKS = [id for id in found if id]
    assert [each for each in doctor() if each[0] == "error"] == []
    call_command("realtime", "doctor", stdout=StringIO())
    admin.config_set("timeout", "30")
    call_command("realtime", "doctor", stdout=StringIO())
    with pytest.raises(CommandError, match="of level warning or worse"):
        call_command("realtime", "doctor", "--fail-level", "warning", stdout=StringIO())


def test_the_layer_of_one_process_is_a_warning():
    found = [text for _, about, text in doctor() if about == "channel layer"]
    assert len(found) == 1 and "within one process" in found[0]
