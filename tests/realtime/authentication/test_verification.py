"""Authentication of tokens: batches, impossible claims, and authenticators of the site.

Long, because it mirrors one module.
"""

import asyncio
import threading
import time
import uuid
from types import SimpleNamespace

import jwt
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.models import TokenUser
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.utils import get_md5_hash_password

from realtime.authentication import Identity, SimpleJWTAuthenticator, refusals, users, verification
from realtime.authentication.verification import authenticate
from realtime.changes import changes
from realtime.concurrency import threads
from realtime.exceptions import AuthenticationError, AuthenticationUnavailable
from realtime.sparse_log import SparseLog

needs_database = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hearing():
    """This process is notified of changes, so it may use its caches."""
    changes.listen()
    yield
    changes.stop_listening()


@pytest.fixture
def sign(alice):
    def _sign(user=None, *, lifetime=300, **claims):
        user = user or alice
        payload = {
            "token_type": "access",
            "jti": uuid.uuid4().hex,
            "exp": int(time.time()) + lifetime,
            "user_id": str(user.pk),
            "hash_password": get_md5_hash_password(user.password),
            **claims,
        }
        return jwt.encode(payload, api_settings.SIGNING_KEY, algorithm="HS256")

    return _sign


async def outcome(token):
    """The result for a token: the name of the user, or the kind of refusal."""
    try:
        return (await authenticate(token)).user.get_username()
    except AuthenticationError as error:
        return "expired" if error.error.code == 109 else "refused"
    except AuthenticationUnavailable:
        return "later"


async def outcomes(tokens):
    return await asyncio.gather(*map(outcome, tokens))


async def people(count):
    made = [User(username=f"person{n}", password="!") for n in range(count)]
    await User.objects.abulk_create(made)
    return made


@needs_database
class Test_many_at_once:
    async def test_500_tokens_of_500_users_take_a_handful_of_queries(
        self, sign, hearing, count_queries
    ):
        somebody = await people(500)
        tokens = [sign(person) for person in somebody]
        with count_queries() as queries:
            assert await outcomes(tokens) == [person.username for person in somebody]
        assert 1 <= len(queries) <= 4
        with count_queries() as queries:
            assert await outcomes(tokens) == [person.username for person in somebody]
        assert queries == []

    async def test_500_tokens_of_one_user_take_two_queries(self, sign, hearing, count_queries):
        tokens = [sign() for _ in range(500)]
        with count_queries() as queries:
            assert await outcomes(tokens) == ["alice"] * 500
        assert 1 <= len(queries) <= 2
        with count_queries() as queries:
            assert await outcomes([sign() for _ in range(500)]) == ["alice"] * 500
        assert queries == []

    async def test_expired_tokens_take_no_query(self, sign, count_queries):
        tokens = [sign(lifetime=-60) for _ in range(1000)]
        with count_queries() as queries:
            for _ in range(2):
                assert set(await outcomes(tokens)) == {"expired"}
        assert queries == []

    async def test_a_user_who_changes_is_read_again(self, sign, alice, hearing):
        assert await outcome(sign()) == "alice"
        await User.objects.filter(pk=alice.pk).aupdate(is_active=False)
        assert await outcome(sign()) == "alice", "a bulk update sends no signal"
        changes.record(user=str(alice.pk))
        assert await outcome(sign()) == "refused"

    async def test_impossible_claims_do_not_affect_other_tokens(
        self, sign, hearing, count_queries, caplog
    ):
        somebody = await people(150)
        odd = [10**30, -(10**30), ["1"], {"pk": 1}, "1\x00", None, "x" * 5000, "٣", " "]
        tokens = [sign(person) for person in somebody] + [sign(user_id=claim) for claim in odd]
        with count_queries() as queries:
            answers = await outcomes(tokens)
        assert answers[:150] == [person.username for person in somebody]
        assert set(answers[150:]) <= {"refused"}
        assert len(queries) <= 60, "far fewer than one per token"
        assert not caplog.records

    async def test_an_id_of_another_type_does_not_match_the_same_text(self, sign, monkeypatch):
        monkeypatch.setattr(api_settings, "USER_ID_FIELD", "username")
        odd = [(None, "None"), (True, "True"), (1.5, "1.5"), (["x"], "['x']")]
        named = [await User.objects.acreate(username=written, password="!") for _, written in odd]
        tokens = [sign(user, user_id=user.username) for user in named]
        tokens += [sign(user, user_id=claim) for user, (claim, _) in zip(named, odd, strict=True)]
        # The results of SimpleJWT for single tokens.
        assert await outcomes(tokens) == [
            *("None", "True", "1.5", "['x']"),
            *("refused", "True", "1.5", "['x']"),
        ]

    async def test_an_unavailable_database_is_asked_once_for_all_tokens(
        self, sign, monkeypatch, count_queries
    ):
        asked = []

        def away(*args):
            asked.append(args)
            raise OperationalError("no database")

        monkeypatch.setattr(users, "find", away)
        with count_queries() as queries:
            assert await outcomes([sign() for _ in range(100)]) == ["later"] * 100
        assert len(asked) == 1
        assert queries == []

    async def test_an_error_in_a_rule_of_the_site_affects_one_token_only(
        self, sign, monkeypatch, caplog
    ):
        def rule(user):
            if user.username == "person1":
                raise RuntimeError("broken rule")
            return user.is_active

        monkeypatch.setattr(api_settings, "USER_AUTHENTICATION_RULE", rule)
        tokens = [sign(person) for person in await people(3)]
        assert await outcomes(tokens) == ["person0", "later", "person2"]
        assert [record.levelname for record in caplog.records] == ["ERROR"]


KNOWN = "an-opaque-token-that-is-known"


def stored(**fields):
    """A user as it is after it was read from the database."""
    user = User(**fields)
    user._state.adding = False
    return user


ALICE = stored(pk=1, username="alice")


class Device:
    """Of another model: its primary key is that of somebody else's row."""

    pk, is_active, is_anonymous = 1, True, False


ROWLESS = {
    "TokenUser": lambda: TokenUser({"user_id": 1}),
    "User": lambda: User(pk=1, username="alice"),
    "Device": Device,
}


class Opaque:
    """Like that of allauth: opaque tokens, which are looked up somewhere."""

    def authenticate(self, raw_token):
        if raw_token == KNOWN:
            return Identity(ALICE, session_id="device-1")
        if raw_token == "none":
            return None
        if raw_token == "pair":
            return (ALICE, raw_token)
        if raw_token == "inactive":
            return Identity(stored(pk=77, username="inactive", is_active=False))
        if raw_token in ROWLESS:
            return Identity(ROWLESS[raw_token]())
        raise _ERRORS[raw_token]


class AsyncOpaque:
    async def authenticate(self, raw_token):
        if raw_token == KNOWN:
            return Identity(ALICE)
        return Opaque().authenticate(raw_token)


_ERRORS = {
    "refused": AuthenticationError("unknown"),
    "expired": AuthenticationError("too old", expired=True),
    "expired PyJWT": jwt.ExpiredSignatureError(),
    "later": AuthenticationUnavailable("the store is away"),
    "refused by DRF": AuthenticationFailed(),
    "refused by SimpleJWT": InvalidToken(),
    "refused by a token": TokenError(),
    "refused by PyJWT": jwt.InvalidAudienceError(),
    "refused by Django": PermissionDenied(),
    "database": OperationalError("gone"),
    "broken": KeyError(KNOWN),
    "broken too": ValueError(f"bad token {KNOWN}"),
    "gone": User.DoesNotExist(KNOWN),
}


class Test_an_authenticator_of_the_site:
    @pytest.fixture(autouse=True, params=[Opaque, AsyncOpaque])
    def configured(self, settings, request, monkeypatch):
        monkeypatch.setattr(verification, "_authenticator", lambda path: request.param())
        monkeypatch.setattr(refusals, "_reported_at", float("-inf"))

    async def test_returns_the_identity(self):
        assert (await authenticate(KNOWN)).user.get_username() == "alice"

    @pytest.mark.parametrize(
        "token",
        [name for name in _ERRORS if name.split()[0] in ("refused", "expired", "later")],
    )
    async def test_may_refuse_with_exceptions_of_django_and_its_libraries(self, token, caplog):
        assert await outcome(token) == token.split()[0]
        assert not caplog.records

    async def test_can_not_admit_inactive_users(self):
        assert await outcome("inactive") == "refused"

    @pytest.mark.parametrize("kind", ROWLESS)
    async def test_can_not_admit_users_without_a_row(self, kind, caplog, monkeypatch):
        monkeypatch.setattr(users, "_rowless", SparseLog(refusals.logger))
        assert await outcomes([kind] * 3) == ["refused"] * 3
        (record,) = caplog.records
        assert f"returned a {kind} that was not read from the database" in record.getMessage()
        assert "return a User, for example" in record.getMessage()

    async def test_without_its_database_asks_clients_to_retry_later(self, caplog):
        assert await outcome("database") == "later"
        assert not caplog.records

    @pytest.mark.parametrize("token", ["broken", "broken too", "gone", "none", "pair"])
    async def test_that_raises_admits_nobody_and_is_logged_without_the_token(self, token, caplog):
        assert await outcomes([token] * 5) == ["later"] * 5
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        raised = {"broken": "KeyError", "broken too": "ValueError", "gone": "User.DoesNotExist"}
        assert f"raised {raised.get(token, 'TypeError')}, at" in caplog.text
        assert "realtime/authentication/verification.py" in caplog.text, "the log names the place"
        assert KNOWN not in caplog.text


async def test_one_that_blocks_its_thread_delays_only_its_own_tokens(settings, monkeypatch):
    settings.REALTIME = {"RIGHTS_SECONDS": 0.8}
    began, may_end = threading.Event(), threading.Event()

    def hang(raw_token):
        began.set()
        may_end.wait()

    monkeypatch.setattr(
        verification, "_authenticator", lambda path: SimpleNamespace(authenticate=hang)
    )
    waiting = [asyncio.create_task(outcome("x")) for _ in range(20)]
    assert await asyncio.to_thread(began.wait, 5)
    async with asyncio.timeout(0.7):
        await asyncio.gather(*(threads.run_in_thread(time.sleep, 0) for _ in range(8)))
    assert set(await asyncio.gather(*waiting)) == {"later"}
    may_end.set()


async def test_one_that_hangs_on_the_loop_times_out(settings, monkeypatch):
    settings.REALTIME = {"RIGHTS_SECONDS": 0.05}

    async def hang(raw_token):
        await asyncio.Event().wait()

    monkeypatch.setattr(
        verification, "_authenticator", lambda path: SimpleNamespace(authenticate=hang)
    )
    assert await outcomes(["x"] * 20) == ["later"] * 20


class Stricter(SimpleJWTAuthenticator):
    def authenticate(self, raw_token):
        identity = super().authenticate(raw_token)
        if identity.user.username == "person0":
            raise AuthenticationError("not you")
        return identity


@needs_database
async def test_the_overridden_method_of_a_subclass_is_called(sign, monkeypatch):
    monkeypatch.setattr(verification, "_authenticator", lambda path: Stricter())
    (person,) = await people(1)
    assert await outcomes([sign(), sign(person)]) == ["alice", "refused"]


@pytest.mark.parametrize(
    "path",
    ["tests.nowhere.Authenticator", "realtime.authentication.nothing", "uuid.UUID", "queue.Queue"],
)
async def test_a_wrong_authenticator_setting_admits_nobody(settings, path):
    settings.REALTIME = {"AUTHENTICATOR": path}
    assert await outcome("x") == "later"
