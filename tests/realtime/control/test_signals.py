"""Which saves and deletions are announced, to whom, and with how many queries."""

import copy
import json
import pickle

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import Value
from django.db.models.functions import Concat
from django.db.models.signals import m2m_changed, post_save
from django.test import override_settings
from django.utils import timezone

from realtime.control import announcements, user_signals
from realtime.control.messages import Audience, Recheck, Rechecks
from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db(transaction=True)


class Person(User):
    class Meta:
        app_label = "auth"
        proxy = True


class Team(Group):
    class Meta:
        app_label = "auth"
        proxy = True


class Lounge(Room):
    class Meta:
        app_label = "realtime"
        proxy = True


class Seat(Membership):
    class Meta:
        app_label = "realtime"
        proxy = True


@pytest.fixture
def child_of():
    """`child_of(Room)`: a model of a site that extends a table, as django-polymorphic's do."""
    made = []

    def _make(parent):
        meta = type("Meta", (), {"app_label": "tests"})
        name = f"Extended{parent.__name__}"
        fields = {"__module__": __name__, "Meta": meta, "floor": models.IntegerField(default=0)}
        child = type(name, (parent,), fields)
        with connection.schema_editor() as editor:
            editor.create_model(child)
        made.append(child)
        return child

    yield _make
    for child in made:
        child.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.delete_model(child)
        get_user_model()._meta.apps.all_models["tests"].pop(child._meta.model_name)
        get_user_model()._meta.apps.clear_cache()


@pytest.fixture
def announced(monkeypatch):
    """The messages to all processes, in order."""
    sent = []
    monkeypatch.setattr(announcements, "_send", lambda layer, message, *marks: sent.append(message))
    return sent


@pytest.fixture
def changes(announced):
    """`changes()`: (user, room) of what was announced since it was called last."""

    def _changes():
        found = [
            (change.user, change.room)
            for message in announced
            for change in (message.changes if isinstance(message, Rechecks) else [message])
        ]
        announced.clear()
        return found

    return _changes


@pytest.fixture
def told(announced):
    """`told()`: the audiences of what was announced since it was called last."""

    def _told():
        found = [message.audience for message in announced if isinstance(message, Recheck)]
        announced.clear()
        return found

    return _told


# Proxies and children


def test_a_proxy_of_a_user_is_announced_as_the_user(alice, changes):
    person = Person.objects.get(pk=alice.pk)
    person.is_active = False
    person.save()
    assert changes() == [(str(alice.pk), None)]
    person.delete()
    assert (str(alice.pk), None) in changes()


def test_a_proxy_of_a_group_is_announced_as_the_group(alice, changes):
    team = Team.objects.create(name="team")
    team.permissions.add(Permission.objects.first())
    assert changes() == [(None, None)]
    alice.groups.add(team)
    assert changes() == [(str(alice.pk), None)]
    team.delete()
    assert (None, None) in changes()


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


def test_a_child_of_a_user_is_announced_as_the_user(child_of, changes):
    guest = child_of(User).objects.create(username="guest")
    changes()
    guest.is_active = False
    guest.save()
    assert changes() == [(str(guest.pk), None)]
    pk = guest.pk
    guest.delete()
    assert set(changes()) == {(str(pk), None)}


def test_a_user_who_gets_a_row_in_a_child_is_announced(alice, child_of, changes):
    guest = child_of(User)(user_ptr=alice, username="alice", is_active=False)
    guest.save()
    assert not User.objects.get(pk=alice.pk).is_active
    assert changes() == [(str(alice.pk), None)]


# Fixtures


def test_a_backup_of_the_site_can_be_loaded_in_any_order(alice, lobby, tmp_path, changes):
    Membership.objects.create(room=lobby, user=alice)
    backup = tmp_path / "backup.json"
    call_command("dumpdata", "auth.user", "realtime", output=str(backup))
    rows = json.loads(backup.read_text())
    backup.write_text(json.dumps(rows[::-1]))
    Membership.objects.all().delete()
    Room.objects.all().delete()
    User.objects.all().delete()
    changes()
    call_command("loaddata", str(backup), verbosity=0)
    assert Membership.objects.get().room.name == "lobby"
    assert (str(alice.pk), "lobby") in changes()


def test_a_membership_that_is_loaded_before_its_room_is_announced_with_its_name(alice, changes):
    changes()
    with transaction.atomic():
        now = timezone.now()
        Membership(room_id=77, user=alice, created_at=now).save_base(raw=True)
        Room(pk=77, name="late", created_at=now).save_base(raw=True)
    assert (str(alice.pk), "late") in changes()


# Saves that change no right


def test_a_save_that_changes_no_right_is_told_to_nobody(alice, told):
    user = User.objects.get(pk=alice.pk)
    user.first_name = "Alice"
    user.save()
    user.save(update_fields=["first_name"])
    assert told() == [Audience.NOBODY, Audience.NOBODY]


@pytest.mark.parametrize("field", ["is_active", "is_superuser", "is_staff"])
def test_a_save_that_changes_a_right_is_told(alice, told, field):
    user = User.objects.get(pk=alice.pk)
    setattr(user, field, not getattr(user, field))
    user.save()
    assert told() == [Audience.EVERYONE]
    user.save()
    assert told() == [Audience.NOBODY]


def test_a_field_that_is_not_written_has_not_changed(alice, told):
    user = User.objects.get(pk=alice.pk)
    user.is_active = False
    user.save(update_fields=["first_name"])
    assert told() == [Audience.NOBODY]
    user.save()
    assert told() == [Audience.EVERYONE]


def test_a_room_that_is_saved_unchanged_is_told_to_nobody(lobby, told):
    told()
    Room.objects.get(pk=lobby.pk).save()
    lobby.title = "The lobby"
    lobby.save()
    assert told() == [Audience.NOBODY, Audience.NOBODY]


def test_a_new_room_is_told_to_those_who_may_enter_it(told):
    Room.objects.create(name="new")
    assert told() == [Audience.ENTITLED]


def test_groups_that_are_set_as_they_were_are_not_announced(alice, changes):
    group = Group.objects.create(name="staff")
    alice.groups.set([group])
    changes()
    alice.groups.set([group])
    alice.groups.add(group)
    assert changes() == []


def test_a_name_that_the_database_computes_is_announced(lobby, changes):
    lobby.name = Concat("name", Value("-2"))
    changes()
    lobby.save()
    assert changes() == [(None, "lobby"), (None, "lobby-2")]
    lobby.name = "lobby-3"
    lobby.save()
    assert (None, "lobby-3") in changes()


# Queries


@pytest.mark.parametrize("load", ["all", "only", "defer"])
def test_saving_a_user_adds_no_query(alice, load, django_assert_num_queries, announced):
    users = {
        "all": User.objects.all(),
        "only": User.objects.only("first_name"),
        "defer": User.objects.defer("password", "is_active"),
    }[load]
    user = users.get(pk=alice.pk)
    user.first_name = "Alice"
    with django_assert_num_queries(1):
        user.save()


def test_saving_a_deferred_right_is_told(alice, told, django_assert_num_queries):
    user = User.objects.only("first_name").get(pk=alice.pk)
    user.is_active = False
    with django_assert_num_queries(1):
        user.save()
    assert told() == [Audience.EVERYONE]


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


def test_putting_many_users_into_a_group_costs_what_django_costs(announced, count_queries):
    group = Group.objects.create(name="staff")
    people = User.objects.bulk_create(User(username=f"user-{number}") for number in range(5_000))

    def cost(*sets):
        with count_queries() as queries:
            for users in sets:
                group.user_set.set(users)
        return len(queries)

    ours = cost(people, [])
    assert len(announced) == 2
    receivers, m2m_changed.receivers = m2m_changed.receivers, []
    m2m_changed.sender_receivers_cache.clear()
    try:
        without_us = cost(people, [])
    finally:
        m2m_changed.receivers = receivers
        m2m_changed.sender_receivers_cache.clear()
    assert ours - without_us <= 10


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


# Transactions


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


def test_a_callback_that_saves_after_the_commit_loses_nothing_of_the_transaction(
    alice, lobby, changes
):
    changes()
    with transaction.atomic():
        transaction.on_commit(lobby.save)  # of the site, and before ours
        alice.is_active = False
        alice.save()
    assert set(changes()) == {(None, "lobby"), (str(alice.pk), None)}


def test_a_rollback_announces_nothing(alice, changes):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alice.is_active = False
        alice.save()
        raise ZeroDivisionError
    assert changes() == []


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


def test_a_change_after_a_savepoint_that_was_rolled_back_is_announced(alice, lobby, changes):
    changes()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Room.objects.create(name="gone")
            raise ZeroDivisionError
        alice.is_active = False
        alice.save()
    assert (str(alice.pk), None) in changes()


def test_a_change_before_a_savepoint_that_was_rolled_back_is_announced(alice, changes):
    with transaction.atomic():
        alice.is_active = False
        alice.save()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Room.objects.create(name="gone")
            raise ZeroDivisionError
    assert (str(alice.pk), None) in changes()


def test_a_site_that_commits_by_hand_can_save(alice, changes):
    transaction.set_autocommit(False)
    try:
        alice.is_active = False
        alice.save()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert changes() == [(str(alice.pk), None)]


# Passwords


@pytest.fixture
def harder(settings):
    """The site stores passwords with a harder hash from now on."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]


def test_a_harder_hash_at_a_sign_in_is_no_change_of_the_password(alice, harder, announced):
    before = alice.password
    assert authenticate(username="alice", password="secret") is not None
    assert User.objects.get(pk=alice.pk).password != before
    (change,) = announced
    assert change.rehashed
    assert change.audience is Audience.NOBODY


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.set_password("another"),
        lambda user: setattr(user, "password", make_password("another")),
        lambda user: user.set_unusable_password(),
    ],
    ids=["set_password", "make_password", "unusable"],
)
@pytest.mark.parametrize("fields", [None, ["password"]], ids=["save", "one field"])
def test_a_new_password_is_a_change(alice, harder, announced, change, fields):
    user = User.objects.get(pk=alice.pk)
    change(user)
    user.save(update_fields=fields)
    (message,) = announced
    assert not message.rehashed
    assert message.audience is Audience.EVERYONE


def test_a_password_that_is_checked_and_changed_in_one_transaction_is_a_change(
    alice, harder, announced
):
    user = User.objects.get(pk=alice.pk)
    with transaction.atomic():
        assert user.check_password("secret")  # stores the harder hash
        user.set_password("another")
        user.save()
    (message,) = announced
    assert not message.rehashed
    assert message.audience is Audience.EVERYONE


@pytest.fixture
def first_receiver():
    """`first_receiver(function)` is called for each saved user, before our own receiver is."""
    receivers = post_save.receivers

    def _connect(function):
        post_save.connect(function, sender=User, weak=False)
        post_save.receivers = [*post_save.receivers[-1:], *post_save.receivers[:-1]]
        post_save.sender_receivers_cache.clear()

    post_save.receivers = list(receivers)
    yield _connect
    post_save.receivers = receivers
    post_save.sender_receivers_cache.clear()


def test_a_password_that_is_stored_by_the_second_save_is_a_change(alice, harder, announced):
    user = User.objects.get(pk=alice.pk)
    user.set_password("another")
    user.save(update_fields=["email"])
    user.save(update_fields=["password"])
    assert [message.rehashed for message in announced] == ["", ""]
    assert announced[-1].audience is Audience.EVERYONE


def test_a_receiver_that_saves_the_user_does_not_hide_a_new_password(
    alice, harder, announced, first_receiver
):
    def note_when(instance, update_fields, **kwargs):
        if "password" in update_fields:
            instance.save(update_fields=["email"])

    user = User.objects.get(pk=alice.pk)
    first_receiver(note_when)
    user.set_password("another")
    user.save(update_fields=["password"])
    assert [message.rehashed for message in announced] == ["", ""]
    assert announced[-1].audience is Audience.EVERYONE


def test_a_password_that_nobody_knows_is_no_harder_hash(alice, harder, announced):
    user = User.objects.get(pk=alice.pk)
    user._password = None  # as of a user that was saved with its password, and pickled
    user.set_unusable_password()
    user.save(update_fields=["password"])
    (message,) = announced
    assert not message.rehashed


def test_a_harder_hash_after_a_new_password_is_no_change(alice, harder, settings, announced):
    user = User.objects.get(pk=alice.pk)
    with override_settings(PASSWORD_HASHERS=settings.PASSWORD_HASHERS[::-1]):
        user.set_password("another")
        user.save()
    assert user.check_password("another")
    new, rehashed = announced
    assert not new.rehashed
    assert rehashed.rehashed == new.password
