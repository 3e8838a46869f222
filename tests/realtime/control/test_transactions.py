"""How changes of one transaction are merged."""

import pytest
from django.db import transaction
from django.db.utils import ConnectionHandler

from realtime.control.messages import Audience
from realtime.control.transactions import Change, ChangeSet, after_commit


def merged(*changes):
    collected = ChangeSet()
    for change in changes:
        collected.add(change)
    return collected.take()


def test_the_same_change_twice_is_one():
    assert merged(Change("1", "a"), Change("1", "a")) == [Change("1", "a")]


def test_the_widest_audience_is_told():
    (change,) = merged(
        Change(None, "a", audience=Audience.EVERYONE, may_lock_out=True),
        Change(None, "a", audience=Audience.NOBODY, may_lock_out=False),
    )
    assert (change.audience, change.may_lock_out) == (Audience.EVERYONE, True)


def test_a_password_is_kept_with_a_later_change_of_the_same_user():
    (change,) = merged(Change("1", own=["phone"], password="x"), Change("1"))
    assert (change.own, change.password) == (["phone"], "x")


HARDER_HASH = Change("1", password="b", rehashed="a")


@pytest.mark.parametrize(
    ("changes", "rehashed"),
    [
        ([HARDER_HASH, Change("1")], "a"),
        ([Change("1"), HARDER_HASH], "a"),
        ([HARDER_HASH, Change("1", password="c", rehashed="b")], "a"),
        ([HARDER_HASH, Change("1", password="another")], ""),
        ([Change("1", password="another"), HARDER_HASH], ""),
        ([HARDER_HASH, Change("1", password="another"), Change("1")], ""),
    ],
    ids=["rehashed first", "rehashed last", "twice", "changed last", "changed first", "and more"],
)
def test_a_new_password_is_no_harder_hash_of_the_old_one(changes, rehashed):
    (change,) = merged(*changes)
    assert change.rehashed == rehashed


def test_many_users_of_one_room_become_a_change_of_the_room():
    changes = [Change(str(user), "a") for user in range(1_001)]
    assert merged(*changes) == [Change(None, "a")]


def test_very_many_changes_become_one_of_everything():
    changes = [Change(str(user), f"room-{user}") for user in range(1_001)]
    assert merged(*changes) == [Change()]


def test_what_was_taken_is_forgotten():
    collected = ChangeSet()
    collected.add(Change("1"))
    assert collected.take() == [Change("1")]
    assert collected.take() == []


@pytest.mark.parametrize("engine", ["dummy", "sqlite3"], ids=["no database", "one that is away"])
def test_nothing_waits_for_a_database_without_a_connection(monkeypatch, engine, tmp_path):
    """A site may have no default database; and a sign-out needs none if the cache has sessions."""
    described = {"ENGINE": f"django.db.backends.{engine}", "NAME": tmp_path / "missing" / "file"}
    site = ConnectionHandler({"default": described, "other": {}})
    monkeypatch.setattr(transaction, "connections", site)
    called = []
    after_commit(lambda: called.append("now"))
    assert called == ["now"]
