"""The names of users: for other people, and for administrators."""

import time

import pytest
from django.contrib.auth.models import AnonymousUser, User

from realtime.authentication import profiles, user_info, user_label


@pytest.fixture(autouse=True)
def nothing_reported():
    profiles._report.cache_clear()


def by_name(user):
    return f"{user.first_name} ({user.username})"


def broken(user):
    return user.profile.name


def number(user):
    return user.pk


def nothing(user):
    return ""


class Member:
    """A user model whose username is no text."""

    pk = 5
    is_anonymous = False

    def get_username(self):
        return 4711


def test_administrators_see_the_username():
    assert profiles.label(User(username="alice")) == user_label(User(username="alice")) == "alice"
    assert profiles.label(AnonymousUser()) == ""


def test_the_site_may_set_another_label(settings):
    settings.REALTIME = {"USER_LABEL": f"{__name__}.by_name"}
    assert profiles.label(User(username="alice", first_name="Alice")) == "Alice (alice)"
    assert profiles.label(AnonymousUser()) == ""


@pytest.mark.parametrize(("name", "shown"), [("number", "7"), ("nothing", "alice")])
def test_a_label_is_a_text_with_something_in_it(settings, name, shown):
    settings.REALTIME = {"USER_LABEL": f"{__name__}.{name}"}
    assert profiles.label(User(pk=7, username="alice")) == shown


def test_a_label_that_fails_is_reported_once_and_the_username_is_shown(settings, caplog):
    settings.REALTIME = {"USER_LABEL": f"{__name__}.broken"}
    for _ in range(3):
        assert profiles.label(User(username="alice")) == "alice"
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{__name__}.broken raised AttributeError; usernames are shown instead"
    )


def test_a_username_that_is_no_text_becomes_one():
    assert user_label(Member()) == "4711"
    assert user_info(Member()) == {"name": "4711"}


def slowly(user):
    time.sleep(profiles.SLOW_SECONDS * 1.5)
    return "Alice"


def test_a_slow_label_is_named_once_a_minute(settings, caplog):
    settings.REALTIME = {"USER_LABEL": f"{__name__}.slowly"}
    for _ in range(2):
        assert profiles.label(User(username="alice")) == "Alice"
    [record] = caplog.records
    assert "USER_LABEL" in record.getMessage() and "slowly" in record.getMessage()
