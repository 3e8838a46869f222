"""The rights that the layer needs, and what is said of an account that has less.

That they are enough is shown by the tests of both layers, which have no others on Redis.
"""

import re
import shlex
from pathlib import Path

import pytest
import redis

import realtime.layers.redis as package
from realtime.layers.redis import acl

CLIENT_METHODS = {
    "PUBSUB NUMSUB": "pubsub_numsub",
    "MULTI": "transaction=True",
    "EXEC": "transaction=True",
}


@pytest.fixture
def admin(redis_server):
    with redis.Redis.from_url(redis_server) as client:
        yield client


@pytest.fixture
def account(least_rights):
    """A client with the rights of the rule, for the prefix mysite."""
    with redis.Redis.from_url(least_rights("mysite")) as client:
        yield client


def take_away(admin, *what):
    admin.execute_command("ACL", "SETUSER", "user-of-mysite", *what)


def test_an_account_with_the_rule_lacks_nothing(account):
    assert list(acl.missing(account, "mysite")) == []


def test_the_rule_holds_for_one_prefix_alone(account):
    assert list(acl.missing(account, "other")) == [
        "keys like other:*",
        "channels like other__group__*",
        "channels like otherspecific.*",
    ]


@pytest.mark.parametrize("command", acl.commands())
def test_each_command_that_is_taken_away_is_named(account, admin, command):
    take_away(admin, f"-{command}")
    found = list(acl.missing(account, "mysite"))
    assert found == [f"the command {command.upper().replace('|', ' ')}"]


def test_channels_and_keys_that_are_taken_away_are_named(account, admin):
    take_away(admin, "resetchannels", "&mysitespecific.*")
    assert list(acl.missing(account, "mysite")) == ["channels like mysite__group__*"]
    take_away(admin, "resetkeys", "&mysite__group__*")
    assert list(acl.missing(account, "mysite")) == ["keys like mysite:*"]


def test_a_trial_leaves_nothing_behind(account, admin):
    before = admin.dbsize()
    list(acl.missing(account, "mysite"))
    assert admin.dbsize() == before


@pytest.mark.parametrize("trial", [*dict.fromkeys(trial[0] for trial in acl.TRIALS)])
def test_the_rule_has_no_command_that_nothing_uses(trial):
    folder = Path(package.__file__).parent
    sources = [path.read_text() for path in folder.rglob("*") if path.suffix in (".py", ".lua")]
    source = "\n".join(text for text in sources if "TRIALS" not in text)
    forms = (
        CLIENT_METHODS.get(trial, ""),
        f"client.{trial.lower()}(",
        f"pipeline.{trial.lower()}(",
    )
    name = trial.split()[0]
    assert re.search(rf"""["']{name}["']""", source) or any(f and f in source for f in forms)


def test_a_prefix_that_looks_like_a_pattern_is_taken_literally(admin, redis_server):
    rule = acl.rule("odd", "my[s]*te")
    admin.execute_command(*shlex.split(rule.replace(">PASSWORD", "nopass")))
    address = redis_server.replace("redis://", "redis://odd:any@")
    with redis.Redis.from_url(address) as client:
        assert list(acl.missing(client, "my[s]*te")) == []
        assert "keys like mysite:*" in acl.missing(client, "mysite")
    admin.acl_deluser("odd")
