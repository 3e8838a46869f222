"""The list of rooms takes the same queries, however many rooms there are."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework_simplejwt.tokens import AccessToken

from realtime.models import Membership, Room
from realtime.rights import queries
from realtime.rights.backend import may

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    return Group.objects.create(name="staff")


@pytest.fixture
def alice(staff):
    alice = User.objects.create_user("alice")
    alice.groups.add(staff)
    return alice


def make_rooms(count, alice, staff):
    """Rooms of each kind in turn, so that every rule is asked."""
    for number in range(count):
        kind = number % 3
        access = "authenticated" if kind == 0 else "members"
        room = Room.objects.create(name=f"room-{number:03}", access=access)
        if kind == 1:
            Membership.objects.create(room=room, user=alice, role="moderator")
        elif kind == 2:
            room.groups.add(staff)


def listed(client, user):
    response = client.get(
        "/realtime/rooms/", headers={"Authorization": f"Bearer {AccessToken.for_user(user)}"}
    )
    assert response.status_code == 200
    return {room["name"]: room["rights"] for room in response.json()["rooms"]}


def nothing(alice, staff):
    pass


def permission_of_a_group(alice, staff):
    staff.permissions.add(Permission.objects.get(codename="moderate_room"))


def permission_for_all_rooms(alice, staff):
    alice.user_permissions.add(Permission.objects.get(codename="join_room"))


def superuser(alice, staff):
    alice.is_superuser = True
    alice.save()


@pytest.mark.parametrize(
    "grant", [nothing, permission_of_a_group, permission_for_all_rooms, superuser]
)
def test_one_room_and_fifty_take_the_same_queries(client, alice, staff, grant):
    grant(alice, staff)
    counts = {}
    for count in (1, 10, 50):
        Room.objects.all().delete()
        make_rooms(count, alice, staff)
        with CaptureQueriesContext(connection) as asked:
            assert len(listed(client, alice)) == count
        counts[count] = len(asked)
    assert len(set(counts.values())) == 1, counts
    assert counts[50] <= 10


def test_the_rights_are_those_of_each_room_asked_alone(client, alice, staff):
    make_rooms(9, alice, staff)
    Room.objects.filter(name="room-000").update(publishing="nobody")
    Membership.objects.filter(room__name="room-004").update(muted=True)
    rights = listed(client, alice)
    for room in Room.objects.all():
        alone = {
            action: may(alice, action, Room.objects.get(pk=room.pk)) for action in queries.ACTIONS
        }
        assert rights[room.name] == alone
    assert rights["room-000"]["publish"] is False
    assert rights["room-004"] == {"join": True, "publish": False, "moderate": True}


def test_more_rooms_than_a_database_takes_parameters_are_listed(client, alice, monkeypatch):
    monkeypatch.setattr(queries, "MOST_NAMED", 5)
    Room.objects.create(name="hidden")
    rooms = [Room(name=f"room-{number}", access="authenticated") for number in range(20)]
    Room.objects.bulk_create(rooms)
    reader = Membership(room=Room.objects.get(name="room-7"), user=alice, role="reader")
    reader.save()
    Membership.objects.create(room=reader.room, user=User.objects.create_user("bob"))
    rights = listed(client, alice)
    assert len(rights) == 20
    assert [name for name, it in rights.items() if not it["publish"]] == ["room-7"]
