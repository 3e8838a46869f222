"""Sessions as a credential: who is signed in, and how many queries a crowd takes."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from realtime.authentication.session_identities import identify, identity_from_session
from realtime.changes import changes
from realtime.exceptions import AuthenticationError, AuthenticationUnavailable

pytestmark = pytest.mark.django_db(transaction=True)

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def sign_in(user, backend=MODEL_BACKEND, **changed):
    session = SessionStore()
    session.update(
        {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: backend,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
            **changed,
        }
    )
    session.create()
    return session.session_key


async def outcome(key):
    try:
        return (await identify(key)).user.username
    except AuthenticationError as error:
        return f"refused: {error.reason}"
    except AuthenticationUnavailable:
        return "later"


async def outcomes(keys):
    return await asyncio.gather(*map(outcome, keys))


NOT_SIGNED_IN = "refused: the session is not signed in"


@pytest.fixture
def crowd():
    people = [User(username=f"person{n}", password="!") for n in range(100)]
    User.objects.bulk_create(people)
    return {person.username: sign_in(person) for person in people}


async def test_a_crowd_takes_a_handful_of_queries(crowd, count_queries):
    with count_queries() as queries:
        assert await outcomes(crowd.values()) == list(crowd)
    assert len(queries) <= 2 * 3, queries


async def test_users_who_are_known_are_not_read_again(crowd, count_queries):
    changes.listen()
    try:
        await outcomes(crowd.values())
        with count_queries() as queries:
            assert await outcomes(crowd.values()) == list(crowd)
        assert queries
        assert all("django_session" in query for query in queries)
    finally:
        changes.stop_listening()


async def test_each_gets_an_answer_of_their_own(alice, crowd):
    inactive = User.objects.acreate(username="inactive", is_active=False)
    keys = await sync_to_async(
        lambda user: {
            "nobody": "a" * 32,
            "empty": SessionStore().create() or "b" * 32,
            "inactive": sign_in(user),
            "ended": sign_in(alice, _session_expiry=-5),
            "other password": sign_in(alice, **{HASH_SESSION_KEY: "no"}),
            "no password": sign_in(alice, **{HASH_SESSION_KEY: None}),
            "other backend": sign_in(alice, "nowhere.Backend"),
            "no user": sign_in(User(pk=10**6, password="!")),
            "no id": sign_in(alice, **{SESSION_KEY: "x"}),
            "large id": sign_in(alice, **{SESSION_KEY: "9" * 40}),
            "NUL": "\x00",
            "quote": "' OR 1=1 --",
            "not ASCII": "é\ud800",
        }
    )(await inactive)
    assert await outcomes(keys.values()) == [NOT_SIGNED_IN] * len(keys)
    key = await sync_to_async(sign_in)(alice)
    assert await outcomes([*keys.values(), key, *crowd.values()]) == [
        *[NOT_SIGNED_IN] * len(keys),
        "alice",
        *crowd,
    ]


async def test_one_that_was_signed_with_an_older_key_counts(alice, settings):
    key = await sync_to_async(sign_in)(alice)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, that is long enough for all that Django does with it"
    # Its contents are signed as well, with the same fallback.
    assert await outcome(key) == "alice"
    settings.SECRET_KEY_FALLBACKS = []
    assert await outcome(key) == NOT_SIGNED_IN


class LenientBackend(ModelBackend):
    def user_can_authenticate(self, user):
        return user.username != "refused"


class OwnBackend(ModelBackend):
    def get_user(self, user_id):
        return User.objects.get(username="alice")


@pytest.fixture
def backends(settings):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{name}" for name in BACKENDS]


BACKENDS = ["LenientBackend", "OwnBackend"]


async def test_the_rules_of_the_backend_count(alice, backends):
    refused = await User.objects.acreate(username="refused")
    bob = await User.objects.acreate(username="bob")
    lenient, own = (f"{__name__}.{name}" for name in BACKENDS)
    keys = await sync_to_async(
        lambda: [
            sign_in(refused, lenient),
            sign_in(bob, lenient),
            sign_in(bob, own, **{HASH_SESSION_KEY: alice.get_session_auth_hash()}),
            sign_in(bob, own),
            sign_in(bob, MODEL_BACKEND),
        ]
    )()
    assert await outcomes(keys) == [NOT_SIGNED_IN, "bob", "alice", NOT_SIGNED_IN, NOT_SIGNED_IN]


async def test_a_rule_that_hangs_for_one_user_keeps_nobody_else_out(
    alice, crowd, settings, monkeypatch
):
    settings.REALTIME = {**settings.REALTIME, "RIGHTS_SECONDS": 1}

    def rule(user):
        if user.username == "alice":
            time.sleep(1.5)
        return True

    monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", rule)
    key = await sync_to_async(sign_in)(alice)
    some = dict(list(crowd.items())[:3])
    assert await outcomes([key, *some.values()]) == ["later", *some]


async def test_a_session_that_has_ended_is_no_credential(alice):
    key = await sync_to_async(sign_in)(alice)
    await Session.objects.aupdate(expire_date=timezone.now())
    assert await outcome(key) == NOT_SIGNED_IN


def test_one_can_be_read_alone(alice):
    identity = identity_from_session(sign_in(alice))
    assert identity.user == alice
    assert identity.session_id.startswith("django:")
