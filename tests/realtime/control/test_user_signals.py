"""Which saves of users and groups are announced, to whom, and with how many queries."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models.signals import m2m_changed, post_save
from django.test import override_settings

from realtime.control.messages import Audience

pytestmark = pytest.mark.django_db(transaction=True)


class Person(User):
    class Meta:
        app_label = "auth"
        proxy = True


class Team(Group):
    class Meta:
        app_label = "auth"
        proxy = True


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


def test_groups_that_are_set_as_they_were_are_not_announced(alice, changes):
    group = Group.objects.create(name="staff")
    alice.groups.set([group])
    changes()
    alice.groups.set([group])
    alice.groups.add(group)
    assert changes() == []


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


# Passwords


@pytest.fixture
def harder(settings):
    """The site stores passwords with a harder hash from now on."""
    settings.PASSWORD_HASHERS = [
        "tests.support.hashers.QuickPBKDF2PasswordHasher",
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
