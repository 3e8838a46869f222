"""The cache of users: read with one query, and never used after a change."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from realtime.authentication import users
from realtime.changes import changes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def hearing():
    """This process is notified of changes, so it may use its caches."""
    changes.listen()
    yield
    changes.stop_listening()


@pytest.fixture(autouse=True)
def nobody_known(monkeypatch):
    monkeypatch.setattr(users, "_known", {})


@pytest.fixture
def somebody():
    return [User.objects.create(username=f"person{number}") for number in range(5)]


def names(found):
    return {value: known.user.username for value, known in found.items()}


def test_users_are_read_with_one_query_and_then_from_the_cache(somebody, django_assert_num_queries):
    keys = [person.pk for person in somebody]
    expected = {str(person.pk): person.username for person in somebody}
    with django_assert_num_queries(1):
        assert names(users.find("id", keys)) == expected
    with django_assert_num_queries(0):
        assert names(users.find("id", keys)) == expected
        assert names(users.find("pk", map(str, keys))) == expected


def test_only_users_that_are_not_cached_are_read(somebody, django_assert_num_queries):
    users.find("pk", [somebody[0].pk])
    with django_assert_num_queries(1) as asked:
        assert len(users.find("pk", [person.pk for person in somebody])) == 5
    (query,) = asked.captured_queries
    assert f"IN ({', '.join(str(person.pk) for person in somebody[1:])})" in query["sql"]


def test_a_missing_user_is_looked_up_again_each_time(django_assert_num_queries):
    for _ in range(2):
        with django_assert_num_queries(1):
            assert users.find("pk", [999]) == {}


def test_users_are_found_by_another_unique_field(somebody):
    found = users.find("username", ["person1", "person3", "nobody"])
    assert names(found) == {"person1": "person1", "person3": "person3"}


@pytest.mark.parametrize("field", ["pk", "username"])
def test_only_the_changed_user_is_read_again(somebody, django_assert_num_queries, field):
    one, other = somebody[:2]
    values = [getattr(one, field), getattr(other, field)]
    users.find(field, values)
    changes.record(user=str(one.pk))
    with django_assert_num_queries(1) as asked:
        users.find(field, values)
    assert other.username not in asked.captured_queries[0]["sql"].partition("WHERE")[2]
    with django_assert_num_queries(0):
        users.find(field, values)


def test_a_change_of_all_users_makes_the_cache_stale(somebody, django_assert_num_queries):
    keys = [person.pk for person in somebody]
    users.find("pk", keys)
    changes.record()
    with django_assert_num_queries(1):
        users.find("pk", keys)


def test_a_change_of_a_room_affects_no_cached_user(somebody, django_assert_num_queries):
    users.find("pk", [somebody[0].pk])
    changes.record(room="lobby")
    changes.record(user=str(somebody[0].pk), room="lobby")
    with django_assert_num_queries(0):
        users.find("pk", [somebody[0].pk])


def test_a_change_during_the_read_counts(somebody, django_assert_num_queries):
    """A user that is read before a change and cached after it is stale."""
    key = somebody[0].pk

    def change(execute, *args):
        cursor = execute(*args)
        changes.record(user=str(key))
        return cursor

    with connection.execute_wrapper(change):
        users.find("pk", [key])
    with django_assert_num_queries(1):
        users.find("pk", [key])


def test_nothing_is_cached_without_notifications_of_changes(somebody, django_assert_num_queries):
    users.find("pk", [somebody[0].pk])
    changes.stop_listening()
    try:
        for _ in range(2):
            with django_assert_num_queries(1):
                users.find("pk", [somebody[1].pk])
        assert ("", "pk", str(somebody[1].pk)) not in users._known
    finally:
        changes.listen()
    with django_assert_num_queries(1):
        users.find("pk", [somebody[0].pk])  # changes in between were missed


def test_a_cached_user_expires_after_the_recheck_interval(
    somebody, django_assert_num_queries, settings
):
    users.find("pk", [somebody[0].pk])
    settings.REALTIME = {"RECHECK_SECONDS": 0}
    with django_assert_num_queries(1):
        users.find("pk", [somebody[0].pk])


def test_the_cache_has_a_maximum_size(somebody, monkeypatch):
    monkeypatch.setattr(users, "MOST_KNOWN", 3)
    for person in somebody:
        users.find("pk", [person.pk])
        assert len(users._known) <= 3


def test_a_user_that_was_read_elsewhere_is_cached(somebody, django_assert_num_queries):
    users.remember(somebody[0], changes.version)
    with django_assert_num_queries(0):
        assert names(users.find("pk", [somebody[0].pk])) == {str(somebody[0].pk): "person0"}
    users.remember(somebody[1], -1)
    with django_assert_num_queries(1):
        users.find("pk", [somebody[1].pk])
