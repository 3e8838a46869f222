"""Which of some users a room is open to."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from realtime.models import Membership, Room
from realtime.rights.audience import entitled

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def room():
    return Room.objects.create(name="staff")


@pytest.fixture
def people(room):
    """Users by what they have."""
    names = ("nothing", "role", "expired", "group", "superuser", "directly", "by group")
    users = {name: User.objects.create(username=name) for name in names}
    yesterday = timezone.now() - timedelta(days=1)
    Membership.objects.create(room=room, user=users["role"])
    Membership.objects.create(room=room, user=users["expired"], expires_at=yesterday)
    team, managers = Group.objects.create(name="team"), Group.objects.create(name="managers")
    room.groups.add(team)
    users["group"].groups.add(team)
    joins = Permission.objects.get(codename="join_room")
    managers.permissions.add(joins)
    users["by group"].groups.add(managers)
    users["directly"].user_permissions.add(joins)
    User.objects.filter(username="superuser").update(is_superuser=True)
    return users


async def of(people, room="staff"):
    ids = {str(user.pk): name for name, user in people.items()}
    return {ids.get(user_id, user_id) for user_id in await entitled(room, [*ids, ""])}


async def test_a_closed_room_is_open_to_those_with_a_right(people):
    assert await of(people) == {"role", "group", "superuser", "directly", "by group"}


@pytest.mark.parametrize("access", [Room.Access.AUTHENTICATED, Room.Access.ANYONE])
async def test_an_open_room_is_open_to_all_it_names(people, room, access):
    room.access = access
    await room.asave()
    anonymous = {""} if access == Room.Access.ANYONE else set()
    assert await of(people) == {*people, *anonymous}


async def test_an_archived_or_missing_room_is_open_to_nobody(people, room):
    room.archived = True
    await room.asave()
    assert await of(people) == set()
    assert await of(people, "missing") == set()


async def test_many_users_are_asked_for_with_few_queries(people, count_queries):
    with count_queries() as queries:
        await entitled("staff", [str(number) for number in range(2_000)])
    assert len(queries) <= 6
