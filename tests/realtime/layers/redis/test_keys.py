"""The names of keys in Redis."""

import pytest
from channels_redis.pubsub import RedisPubSubLoopLayer

from realtime.layers.groups import group_name
from realtime.layers.redis.keys import Keys, owner

KEYS = Keys("site")


def test_groups_are_called_as_channels_redis_calls_them():
    name = RedisPubSubLoopLayer(prefix="site")._get_group_channel_name("chat")
    assert KEYS.group("chat") == name == "site__group__chat"


def test_the_keys_of_publications_are_those_of_the_room():
    assert KEYS.publications("lobby") == (
        "site:room:lobby:meta",
        "site:room:lobby:stream",
        "site:room:lobby:once",
        KEYS.group(group_name("lobby")),
    )


def test_the_keys_of_one_owner_lie_together():
    assert owner(KEYS.user("1", "connections")) == owner(KEYS.user("1", "commands"))
    assert owner(KEYS.process("p", "about")) == owner(KEYS.process("p", "connections"))
    assert owner(KEYS.user("1", "commands")) != owner(KEYS.user("2", "commands"))


@pytest.mark.parametrize("odd", ["", "a:b", "\ud800 \x00", "x" * 10_000])
def test_odd_texts_make_names_without_them(odd):
    for name in (KEYS.user(odd, "commands"), KEYS.ticket(odd), KEYS.change(odd, odd)):
        assert len(name) < 100
        assert name.isascii() and name.isprintable()


def test_a_ticket_can_not_be_read_from_its_key():
    assert "secret" not in KEYS.ticket("secret")


def test_no_change_has_the_key_of_another():
    changes = [("1", "a"), ("1", None), (None, "a"), (None, None), ("1", "None"), ("None", None)]
    assert len({KEYS.change(*change) for change in changes}) == len(changes)
