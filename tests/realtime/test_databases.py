"""Sites whose router reads from a replica: what decides rights is read where it was written."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, Permission, User
from django.utils.connection import ConnectionDoesNotExist
from rest_framework_simplejwt.tokens import AccessToken

from realtime.authentication import Identity, django_sessions, session_identities
from realtime.authentication.verification import authenticate, in_time
from realtime.databases import up_to_date_reads
from realtime.models import Membership, Room
from realtime.rights import audience, grants
from realtime.rights.grants import Question
from realtime.server_api.targets import retention_of

pytestmark = pytest.mark.django_db(transaction=True)


class ReplicaRouter:
    """Reads go to a replica, which does not even answer in these tests."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


@pytest.fixture
def replica(settings):
    """From here on whatever is read from the replica fails."""

    def _use():
        settings.DATABASE_ROUTERS = [ReplicaRouter()]

    return _use


@pytest.fixture(params=["role", "group", "permission", "permission of a group"])
def entitled(request, alice):
    """Alice, who may enter the room `staff`."""
    room = Room.objects.create(name="staff")
    group = Group.objects.create(name="team")
    joins = Permission.objects.get(codename="join_room")
    if request.param == "role":
        Membership.objects.create(room=room, user=alice)
    elif request.param == "permission":
        alice.user_permissions.add(joins)
    else:
        alice.groups.add(group)
        (room.groups if request.param == "group" else group.permissions).add(
            group if request.param == "group" else joins
        )
    return alice


async def test_rights_are_read_from_the_database_of_writes(entitled, replica):
    identity = Identity(entitled)
    replica()
    granted = await grants.agrant(identity, "staff")
    assert "join" in granted.actions
    (answer,) = await grants.review([Question(identity, ["staff"])])
    assert "join" in answer.grants["staff"].actions
    assert await audience.entitled("staff", [str(entitled.pk)]) == [str(entitled.pk)]


async def test_users_and_rooms_are_read_from_the_database_of_writes(alice, lobby, replica):
    token = str(AccessToken.for_user(alice))
    replica()
    assert (await authenticate(token)).user == alice
    assert (await sync_to_async(retention_of)("lobby")).size == lobby.history_size


async def test_sessions_are_read_from_the_database_of_writes(client, alice, replica, settings):
    await sync_to_async(client.force_login)(alice)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    replica()
    assert (await in_time(session_identities.identity_from_session, key)).user == alice
    assert set(await sync_to_async(django_sessions.ends)([key, "gone"])) == {key}


def test_the_list_of_rooms_is_read_from_the_database_of_writes(client, alice, lobby, replica):
    token = AccessToken.for_user(alice)
    replica()
    reply = client.get("/realtime/rooms/", headers={"authorization": f"Bearer {token}"})
    assert [room["name"] for room in reply.json()["rooms"]] == ["lobby"]


def test_other_queries_of_the_site_go_on_reading_from_the_replica(alice, replica):
    replica()
    with up_to_date_reads():
        assert User.objects.get() == alice
    with pytest.raises(ConnectionDoesNotExist):
        User.objects.get()
