"""The commands of scripts."""

import random

import hiredis
import pytest

from realtime.layers.redis import scripts
from realtime.layers.redis.keys import Keys
from realtime.rooms.publications import Retention


@pytest.mark.parametrize("message", [b"", b"lobby\n{}", b"\r\n$3\r\n\x00\xff", b"x" * 100_000])
@pytest.mark.parametrize("keep", [Retention(0, 0), Retention(100, 60)])
@pytest.mark.parametrize("room", ["lobby", "message", "süd"])
def test_a_packed_append_is_the_same_command(monkeypatch, room, keep, message):
    monkeypatch.setattr(random, "getrandbits", lambda bits: 0xABC)
    keys = Keys("site")
    call = scripts.append(keys, room, message, keep, "")
    packed = scripts.packed_append(keys, room, message, keep)
    assert packed == hiredis.pack_command(call.command)


def test_each_site_has_its_own_packed_appends():
    for prefix in ("one", "other"):
        packed = scripts.packed_append(Keys(prefix), "lobby", b"1", Retention(0, 0))
        assert b"%b:room:lobby:meta" % prefix.encode() in packed


@pytest.mark.parametrize(
    ("times", "latest"), [([None], -1), ([b"3", None, b"12"], 12), ([b"3", b"gone"], float("inf"))]
)
def test_the_last_change_is_the_latest(times, latest):
    assert scripts.to_last_change(times) == latest


def test_the_clock_of_redis_is_in_seconds():
    assert scripts.to_seconds([b"12", b"500000"]) == scripts.to_seconds((12, 500_000)) == 12.5
