"""The contract for user models; `tests/realtime/test_user_models.py` runs it for each.

Long, because it is one contract.
"""

import logging

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.management import CommandError, call_command
from rest_framework_simplejwt.tokens import AccessToken

from realtime import rooms, user_models
from realtime.authentication import Identity
from realtime.checks import check_user_model
from realtime.connection.session import Session
from realtime.hub.node import Node
from realtime.layers.memory import MemoryRoomLayer
from realtime.models import Membership, Room
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.rights import answers, grants, queries
from realtime.rights.backend import may
from realtime.rights.explanation import explain
from realtime.rooms.room_types import find_in_code
from tests.support.pages import Layer, layer_of_the_site
from tests.support.people.models import Department, Entry, Team
from tests.support.sessions import RecordingTransport, call

User = get_user_model()
GROUPS = {"ByEmail", "ByNumber", "WithoutPermissions", "InDepartments"}
PERMISSIONS = {"ByEmail", "ByNumber", "InTeams", "InDepartments"}
TALK = {"join", "publish"}

has_groups = pytest.mark.skipif(User.__name__ not in GROUPS, reason="it has no groups")
has_permissions = pytest.mark.skipif(
    User.__name__ not in PERMISSIONS, reason="it holds no permissions"
)
decides_itself = User.__name__ == "WithOwnAnswer"
by_our_rules = pytest.mark.skipif(decides_itself, reason="it decides itself")


pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_error_in_the_log(caplog):
    yield
    assert not [it.getMessage() for it in caplog.records if it.levelno >= logging.ERROR]


@pytest.fixture
def alice():
    return User.objects.make(NAME)


NAME = {"ByEmail": "alice@example.com", "ByNumber": 4711}.get(User.__name__, "alice")


def enter_group(user):
    """A group that the user is in, of the kind that the model has."""
    model = Department if User.__name__ == "InDepartments" else Group
    group = model.objects.create(name="Staff")
    user.groups.add(group)
    return Group.objects.get(pk=group.pk)


def rights(user, name):
    """The rights in a room, by both ways in which they are read, and by the list of rooms."""
    alone = grants.grant(Identity(user), name).actions
    (answer,) = answers.answer_all([grants.Question(Identity(user), [name])])
    if name in answer.apart:  # a room in code, or a user model that decides itself
        apart = answers.compute(Identity(user), answer.user, name, answer.apart[name])
        answer.grants[name] = apart
    assert answer.grants[name].actions == alone
    return set(alone)


def listed(client, user):
    token = AccessToken.for_user(user)
    response = client.get("/realtime/rooms/", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    return {room["name"]: room["rights"] for room in response.json()["rooms"]}


@by_our_rules
def test_access_and_roles_decide(client, alice):
    Room.objects.create(name="lobby", access="authenticated")
    Room.objects.create(name="closed")
    news = Room.objects.create(name="news")
    Membership.objects.create(room=news, user=alice, role="moderator")
    assert rights(alice, "lobby") == rights(alice, "news") == TALK
    assert rights(alice, "closed") == rights(alice, "absent") == set()
    rooms_of_alice = listed(client, alice)
    assert rooms_of_alice.keys() == {"lobby", "news"}
    assert rooms_of_alice["lobby"] == {"join": True, "publish": True, "moderate": False}
    assert rooms_of_alice["news"]["moderate"] is True


class DerivedBackend(ModelBackend):
    """As of a library for sign-in."""


@by_our_rules
def test_a_backend_that_is_derived_from_djangos_is_no_obstacle(client, alice, settings):
    settings.AUTHENTICATION_BACKENDS = [
        f"{__name__}.DerivedBackend",
        "realtime.rights.RoomBackend",
    ]
    Room.objects.create(name="lobby", access="authenticated")
    Room.objects.create(name="closed")
    assert (rights(alice, "lobby"), rights(alice, "closed")) == (TALK, set())
    assert listed(client, alice).keys() == {"lobby"}
    assert explain(alice, "lobby").allowed
    if User.__name__ in GROUPS:
        enter_group(alice).permissions.add(Permission.objects.get(codename="join_room"))
        assert rights(User.objects.get(), "closed") == {"join"}


def test_users_who_are_not_active_get_nothing(alice):
    Room.objects.create(name="lobby", access="authenticated")
    alice.is_active = False
    if not decides_itself:
        assert not may(alice, "join", Room.objects.get())
    assert list(Room.objects.open_to(alice)) == []


def test_anonymous_users_enter_rooms_for_anyone(alice):
    Room.objects.create(name="hall", access="anyone")
    Room.objects.create(name="lobby", access="authenticated")
    assert [room.name for room in Room.objects.open_to(AnonymousUser())] == ["hall"]


@has_groups
def test_groups_of_a_room_admit_their_users(client, alice):
    room = Room.objects.create(name="staff")
    room.groups.add(enter_group(alice), Group.objects.create(name="Others"))
    bob = User.objects.make("8" if NAME == 4711 else "bob")
    assert rights(alice, "staff") == TALK
    assert listed(client, alice).keys() == {"staff"}
    assert may(alice, "join", Room.objects.get())
    assert explain(alice, "staff").reason == "in the room's group Staff"
    assert rights(bob, "staff") == set()
    assert listed(client, bob) == {}


@pytest.mark.skipif(User.__name__ != "InTeams", reason="it has no teams")
def test_a_team_is_not_the_group_with_the_same_key(client, alice):
    group = Group.objects.create(pk=1, name="Board")
    alice.groups.add(Team.objects.create(pk=1, title="Football"))
    Room.objects.create(name="board").groups.add(group)
    group.permissions.add(Permission.objects.get(codename="moderate_room"))
    assert rights(alice, "board") == set()
    assert listed(client, alice) == {}
    assert not may(alice, "join", Room.objects.get())
    assert not explain(alice, "board").allowed


@has_permissions
@pytest.mark.parametrize("codename", ["join_room", "publish_room", "moderate_room"])
def test_permissions_cover_all_rooms(client, alice, codename):
    Room.objects.create(name="closed")
    alice.user_permissions.add(Permission.objects.get(codename=codename))
    alice = User.objects.get()
    action = codename.removesuffix("_room")
    assert may(alice, action, Room.objects.get())
    assert rights(alice, "closed") == ({"join"} if action == "join" else set())
    assert listed(client, alice).keys() == ({"closed"} if action == "join" else set())
    words = explain(alice, "closed", action).sentence
    assert (f"given to {alice.get_username()} directly" in words) is (action != "publish")


@has_groups
def test_permissions_of_groups_cover_all_rooms(client, alice):
    Room.objects.create(name="closed")
    enter_group(alice).permissions.add(Permission.objects.get(codename="join_room"))
    alice = User.objects.get()
    assert rights(alice, "closed") == {"join"}
    assert listed(client, alice).keys() == {"closed"}
    assert may(alice, "join", Room.objects.get())
    assert explain(alice, "closed").reason == "realtime.join_room from group Staff"


@pytest.mark.skipif(not hasattr(User, "is_superuser"), reason="it has no superusers")
def test_superusers_may_do_everything(client, alice):
    Room.objects.create(name="closed")
    alice.is_superuser = True
    alice.save()
    assert rights(alice, "closed") == TALK
    assert listed(client, alice)["closed"]["moderate"] is True


def test_rooms_in_code_ask_their_hooks(alice):
    class Orders(rooms.RoomType):
        def can_join(self, user, pk):
            return pk == 1

    if find_in_code("orders/1") is None:
        rooms.register("orders/<int:pk>")(Orders)
    assert rights(alice, "orders/1") == TALK or decides_itself
    assert rights(alice, "orders/2") == set() or decides_itself


@pytest.mark.skipif(not decides_itself, reason="it does not decide itself")
def test_the_own_answer_of_a_user_model_counts(client, alice):
    Room.objects.create(name="closed")
    assert rights(alice, "closed") == {"join"}
    assert listed(client, alice).keys() == {"closed"}
    assert explain(alice, "closed").allowed
    assert not explain(alice, "closed", "publish").allowed


@by_our_rules
@pytest.mark.parametrize("action", queries.ACTIONS)
def test_an_explanation_says_what_a_connection_gets(alice, action):
    room = Room.objects.create(name="lobby", access="authenticated")
    explanation = explain(alice, "lobby", action)
    assert explanation.allowed is may(alice, action, room) is (action in TALK)
    assert explanation.user == str(NAME)


def test_the_site_passes_the_checks():
    call_command("check")


@pytest.mark.skipif(not hasattr(User, "is_superuser"), reason="it can't use the admin")
def test_rooms_and_people_are_managed_in_the_admin(client, alice):
    alice.is_superuser = alice.is_staff = True
    alice.save()
    room = Room.objects.create(name="lobby")
    Membership.objects.create(room=room, user=alice)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    for page in ("room/", f"room/{room.pk}/change/", "room/add/", "membership/", "connection/"):
        for query in ("", "?q=47"):
            response = client.get(f"/admin/realtime/{page}{query}")
            assert response.status_code == 200, page
            assert page == "room/" or ("Groups:" in response.content.decode()) is (
                page.startswith("room/") and User.__name__ in GROUPS
            )
    asked = {"room": "lobby", "user": str(NAME), "action": "join"}
    page = client.get("/admin/realtime/room/explain/", asked).content.decode()
    assert f"{NAME} may join lobby" in page


def test_the_shell_finds_a_user_by_the_name_of_the_model(alice, capsys):
    Room.objects.create(name="lobby", access="authenticated")
    User.objects.make("4712" if NAME == 4711 else "bob")
    for name in {str(NAME), str(NAME).upper(), str(alice.pk)}:
        call_command("realtime", "explain", name, "lobby")
        assert f"{NAME} may join lobby" in capsys.readouterr().out
    near = str(NAME)[:-1]
    with pytest.raises(CommandError, match=f"There is no user {near}. Did you mean {NAME}?"):
        call_command("realtime", "explain", near, "lobby")


@pytest.fixture
def told():
    layer = Layer()
    with layer_of_the_site(layer):
        yield layer.told


def reviewed(told):
    return [change["user"] for message in told for change in message.get("changes", [message])]


@has_groups
def test_a_change_of_groups_is_announced(alice, told, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        group = enter_group(alice)
    assert set(reviewed(told)) == {str(alice.pk)}
    del told[:]
    with django_capture_on_commit_callbacks(execute=True):
        alice.groups.remove(group.pk)
    assert set(reviewed(told)) == {str(alice.pk)}


@pytest.mark.skipif(User.__name__ != "WithoutPermissions", reason="its groups have no such model")
def test_a_saved_row_between_users_and_groups_is_announced(
    alice, told, django_capture_on_commit_callbacks
):
    group, bob = Group.objects.create(name="Staff"), User.objects.make("bob")
    del told[:]
    with django_capture_on_commit_callbacks(execute=True):
        entry = Entry.objects.create(person=alice, group=group)
    assert reviewed(told) == [str(alice.pk)]
    with django_capture_on_commit_callbacks(execute=True):
        entry.person = bob
        entry.save()
    assert sorted(reviewed(told)[1:]) == sorted([str(alice.pk), str(bob.pk)])
    with django_capture_on_commit_callbacks(execute=True):
        entry.delete()
    assert reviewed(told)[3:] == [str(bob.pk)]


def test_the_check_tells_what_has_no_effect():
    found = [message.id for message in check_user_model()]
    leads_elsewhere = User.__name__ in ("InTeams", "WithOwnAnswer")
    assert found == (["realtime.W013"] if leads_elsewhere else [])
    assert (user_models.groups() is not None) is (User.__name__ in GROUPS)


@pytest.fixture
async def session():
    node = Node(MemoryRoomLayer())
    session = Session(
        transport=RecordingTransport(), protocol=CentrifugeProtocol(), node=node, identity=None
    )
    session.open()
    yield session
    session.end()
    await node.close()


@pytest.mark.django_db(transaction=True)
async def test_a_client_enters_a_room_and_talks(session):
    alice = await sync_to_async(User.objects.make)(NAME)
    room = await Room.objects.acreate(name="lobby", access="authenticated")
    await Membership.objects.acreate(room=room, user=alice)
    token = str(AccessToken.for_user(alice))
    assert "connect" in await call(session, connect={"token": token})
    assert session.describe("web-1").username == str(NAME)
    assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
    reply = await call(session, publish={"channel": "lobby", "data": "hello"})
    assert ("publish" in reply) is not decides_itself
    assert "presence" in await call(session, presence={"channel": "lobby"})
