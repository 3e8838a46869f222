"""Which saves and deletions of rooms and memberships are announced, and with how many queries."""

import copy
import pickle

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Concat

from realtime.control.messages import Audience
from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db(transaction=True)


class Lounge(Room):
    class Meta:
        app_label = "realtime"
        proxy = True


class Seat(Membership):
    class Meta:
        app_label = "realtime"
        proxy = True


# Proxies and children


def test_a_proxy_of_a_room_is_announced_as_the_room(changes):
    lounge = Lounge.objects.create(name="lounge")
    assert changes() == [(None, "lounge")]
    lounge.name = "bar"
    lounge.save()
    assert changes() == [(None, "lounge"), (None, "bar")]
    Lounge.objects.filter(pk=lounge.pk).delete()
    assert changes() == [(None, "bar")]


def test_a_proxy_of_a_membership_is_announced_as_the_membership(alice, lobby, changes):
    changes()
    seat = Seat.objects.create(room=lobby, user=alice)
    assert changes() == [(str(alice.pk), "lobby")]
    seat.delete()
    assert changes() == [(str(alice.pk), "lobby")]


def test_a_child_of_a_room_is_announced_as_the_room(child_of, changes):
    suite = child_of(Room).objects.create(name="suite", floor=3)
    assert changes() == [(None, "suite")]
    suite.archived = True
    suite.save()
    assert changes() == [(None, "suite")]
    suite.delete()
    assert set(changes()) == {(None, "suite")}


# Rooms


def test_a_room_that_is_saved_unchanged_is_told_to_nobody(lobby, told):
    told()
    Room.objects.get(pk=lobby.pk).save()
    lobby.title = "The lobby"
    lobby.save()
    assert told() == [Audience.NOBODY, Audience.NOBODY]


def test_a_new_room_is_told_to_those_who_may_enter_it(told):
    Room.objects.create(name="new")
    assert told() == [Audience.ENTITLED]


def test_a_name_that_the_database_computes_is_announced(lobby, changes):
    lobby.name = Concat("name", Value("-2"))
    changes()
    lobby.save()
    assert changes() == [(None, "lobby"), (None, "lobby-2")]
    lobby.name = "lobby-3"
    lobby.save()
    assert (None, "lobby-3") in changes()


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda row: pickle.loads(pickle.dumps(row))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_of_a_row_with_deferred_fields_is_announced_as_the_row(lobby, changes, copied):
    room = copied(Room.objects.only("title").get(pk=lobby.pk))
    changes()
    room.name = "bar"
    room.save()
    assert changes() == [(None, "bar")]
    room.name = "cafe"
    room.save()
    assert changes() == [(None, "bar"), (None, "cafe")]


def test_deleting_a_room_with_many_roles_costs_what_a_few_cost(announced, count_queries):
    def cost(members):
        room = Room.objects.create(name=f"room-{members}")
        people = User.objects.bulk_create(
            User(username=f"{members}-{number}") for number in range(members)
        )
        Membership.objects.bulk_create(Membership(room=room, user=user) for user in people)
        announced.clear()
        with count_queries() as queries:
            room.delete()
        assert Membership.objects.count() == 0
        return len(queries), len(announced)

    assert cost(5_000) == cost(5)


# Memberships that are deleted


def test_a_deleted_membership_is_announced(alice, lobby, changes):
    membership = Membership.objects.create(room=lobby, user=alice)
    changes()
    membership.delete()
    assert changes() == [(str(alice.pk), "lobby")]


def test_deleted_memberships_are_announced_together(lobby, announced):
    people = [User.objects.create(username=name) for name in ("ann", "bob")]
    for user in people:
        Membership.objects.create(room=lobby, user=user)
    announced.clear()
    lobby.memberships.all().delete()
    (message,) = announced
    assert {(change.user, change.room) for change in message.changes} == {
        (str(user.pk), "lobby") for user in people
    }


def test_very_many_deleted_memberships_are_a_change_of_their_room(lobby, changes):
    people = User.objects.bulk_create(User(username=f"user-{number}") for number in range(1_200))
    Membership.objects.bulk_create(Membership(room=lobby, user=user) for user in people)
    changes()
    Membership.objects.filter(room=lobby).delete()
    assert changes() == [(None, "lobby")]


def test_memberships_stay_if_the_deletion_is_rolled_back(alice, lobby, changes):
    membership = Membership.objects.create(room=lobby, user=alice)
    changes()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        membership.delete()
        raise ZeroDivisionError
    assert changes() == []


def test_a_sliced_deletion_is_refused_as_django_does(lobby):
    with pytest.raises(TypeError, match="delete"):
        Membership.objects.all()[:1].delete()
