"""How changes of one transaction are merged, and announced together after its commit."""

from contextlib import suppress

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.utils import ConnectionHandler

from realtime import disconnect, notify, unsubscribe
from realtime.control import user_signals
from realtime.control.messages import Audience
from realtime.control.transactions import Change, ChangeSet, after_commit
from realtime.models import Membership, Room


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


# In a database


@pytest.mark.django_db(transaction=True)
def test_what_one_transaction_changes_is_announced_once(alice, lobby, announced):
    announced.clear()
    with transaction.atomic():
        for number in range(50):
            user = User.objects.create(username=f"user-{number}")
            Membership.objects.create(room=lobby, user=user)
        alice.is_active = False
        alice.save()
        assert announced == []
    (message,) = announced
    assert len(message.changes) == 51


@pytest.mark.django_db(transaction=True)
def test_a_callback_that_saves_after_the_commit_loses_nothing_of_the_transaction(
    alice, lobby, changes
):
    changes()
    with transaction.atomic():
        transaction.on_commit(lobby.save)  # of the site, and before ours
        alice.is_active = False
        alice.save()
    assert set(changes()) == {(None, "lobby"), (str(alice.pk), None)}


@pytest.mark.django_db(transaction=True)
def test_a_rollback_announces_nothing(alice, changes):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alice.is_active = False
        alice.save()
        raise ZeroDivisionError
    assert changes() == []


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_announced_later(alice, lobby, announced, changes, monkeypatch):
    changes()
    monkeypatch.setattr(user_signals, "of_running_request", lambda: ["phone"])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alice.set_password("her own")
        alice.save()
        raise ZeroDivisionError
    monkeypatch.setattr(user_signals, "of_running_request", lambda: [])
    with transaction.atomic():
        transaction.on_commit(lambda: None)  # of the site
        user = User.objects.get(pk=alice.pk)
        user.set_password("that of an administrator")
        user.save()
    (message,) = announced
    assert message.own == []


@pytest.mark.django_db(transaction=True)
def test_a_change_after_a_savepoint_that_was_rolled_back_is_announced(alice, lobby, changes):
    changes()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Room.objects.create(name="gone")
            raise ZeroDivisionError
        alice.is_active = False
        alice.save()
    assert (str(alice.pk), None) in changes()


@pytest.mark.django_db(transaction=True)
def test_a_change_before_a_savepoint_that_was_rolled_back_is_announced(alice, changes):
    with transaction.atomic():
        alice.is_active = False
        alice.save()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Room.objects.create(name="gone")
            raise ZeroDivisionError
    assert (str(alice.pk), None) in changes()


@pytest.mark.django_db(transaction=True)
def test_a_site_that_commits_by_hand_can_save(alice, changes):
    transaction.set_autocommit(False)
    try:
        alice.is_active = False
        alice.save()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert changes() == [(str(alice.pk), None)]


@pytest.mark.django_db(transaction=True)
def test_the_orders_of_a_transaction_leave_together_in_their_order(alice, announced):
    with transaction.atomic():
        disconnect(user=alice)
        with suppress(ValueError), transaction.atomic():
            notify("never", user=alice)
            raise ValueError
        unsubscribe("lobby", user=alice)
        notify("hello", user=alice)
        assert announced == []
    (orders,) = announced
    assert [type(order).__name__ for order in orders.orders] == ["Removal", "Removal", "Notice"]
    assert [order.room for order in orders.orders] == ["", "lobby", ""]
    announced.clear()
    with transaction.atomic():
        notify("again", user=alice)
    (notice,) = announced
    assert notice.text == "again"
