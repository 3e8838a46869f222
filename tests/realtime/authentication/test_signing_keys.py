"""Tokens that are verified with the keys of an external issuer."""

import asyncio
import time
import uuid

import pytest
from django.contrib.auth.models import User
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.utils import get_md5_hash_password

from realtime.authentication import (
    Identity,
    SimpleJWTAuthenticator,
    signing_keys,
    users,
    verification,
)
from realtime.authentication.verification import authenticate
from realtime.concurrency import threads
from realtime.exceptions import AuthenticationError, AuthenticationUnavailable
from tests.support.issuers import Issuer, Key, forgeries

ALICE = User(pk=1, username="alice", password="!")
ALICE._state.adding = False  # as if it was read from the database


@pytest.fixture(autouse=True)
def known_users(monkeypatch, request):
    """Alice, for tests without a database."""
    if not request.node.get_closest_marker("django_db"):
        known = users.KnownUser(ALICE, -1, 0)
        monkeypatch.setattr(users, "find", lambda field, ids, manager: dict.fromkeys(ids, known))


@pytest.fixture
def issuer(monkeypatch):
    issuer = Issuer()
    backend = TokenBackend("ES256", jwk_url=issuer.url)
    monkeypatch.setattr(state, "token_backend", backend)
    monkeypatch.setattr(signing_keys, "PAUSE_SECONDS", 0.1)
    yield issuer
    issuer.stop()


@pytest.fixture
def sign(issuer):
    """`sign(key=…, user=…, lifetime=…, kid=…)`: a token of the issuer with these headers."""

    def _sign(key=None, user=ALICE, lifetime=300, **headers):
        claims = {
            "token_type": "access",
            "jti": uuid.uuid4().hex,
            "user_id": str(user.pk),
            "hash_password": get_md5_hash_password(user.password),
        }
        return (key or issuer.key).sign(claims, lifetime=lifetime, **headers)

    return _sign


async def outcome(token):
    """The result for a token: the name of the user, or the kind of refusal."""
    try:
        return (await authenticate(token)).user.username
    except AuthenticationError as error:
        return "expired" if error.error.code == 109 else "refused"
    except AuthenticationUnavailable:
        return "later"


async def outcomes(tokens):
    return await asyncio.gather(*map(outcome, tokens))


async def test_many_concurrent_tokens_need_one_fetch(sign, issuer):
    assert await outcomes([sign() for _ in range(50)]) == ["alice"] * 50
    assert await outcomes([sign() for _ in range(50)]) == ["alice"] * 50
    assert issuer.requests == 1


async def test_tokens_during_a_fetch_wait_for_that_fetch(sign, issuer):
    issuer.hang()
    first = asyncio.create_task(outcome(sign()))
    await issuer.until_asked()
    second = asyncio.create_task(outcome(sign()))
    await asyncio.sleep(0)
    issuer.heal()
    assert await asyncio.gather(first, second) == ["alice", "alice"]
    assert issuer.requests == 1


async def test_a_token_signed_right_after_a_rotation_is_accepted(sign, issuer):
    assert await outcome(sign()) == "alice"
    old = issuer.rotate()
    assert await outcomes([sign() for _ in range(20)]) == ["alice"] * 20
    assert issuer.requests == 2
    assert await outcome(sign(old)) == "refused"


async def test_a_key_that_is_published_while_others_are_fetched_is_found(sign, issuer):
    """The running fetch may be older than the key, so a later token waits for the next one."""
    issuer.hang()
    old = sign()
    first = asyncio.create_task(outcome(old))
    await issuer.until_asked()
    kept = issuer.key
    issuer.rotate()
    new, issuer.keys = issuer.keys, [kept.jwk]
    second = asyncio.create_task(outcome(sign()))
    await asyncio.sleep(0)
    issuer.heal()
    assert await first == "alice"
    issuer.keys = new
    assert await second == "alice"


async def test_forged_key_ids_cause_one_fetch_per_pause(sign, issuer):
    assert await outcome(sign()) == "alice"
    started = time.monotonic()
    for _ in range(3):
        forged = [sign(kid=uuid.uuid4().hex) for _ in range(100)]
        assert set(await outcomes(forged)) == {"refused"}
        assert await outcome(sign()) == "alice"
    assert issuer.requests <= 2 + (time.monotonic() - started) / signing_keys.PAUSE_SECONDS


async def test_an_issuer_that_hangs_delays_only_tokens_with_a_new_key(sign, issuer, settings):
    settings.REALTIME = {"RIGHTS_SECONDS": 2.5}
    assert await outcome(sign()) == "alice"
    old = issuer.rotate()
    issuer.hang()
    waiting = [asyncio.create_task(outcome(sign())) for _ in range(20)]
    await issuer.until_asked()
    busy = [
        threads.run_in_thread(time.sleep, 0)
        for _ in range(threads.realtime_settings.DATABASE_THREADS)
    ]
    async with asyncio.timeout(2.2):
        assert await outcomes([sign(old) for _ in range(20)]) == ["alice"] * 20
        await asyncio.gather(*busy)
    assert not any(task.done() for task in waiting)
    assert set(await asyncio.gather(*waiting)) == {"later"}
    issuer.heal()
    settings.REALTIME = {"RIGHTS_SECONDS": 30}
    assert await outcome(sign()) == "alice"


async def test_keys_that_expire_during_verification_block_no_database_thread(
    sign, issuer, settings, monkeypatch
):
    settings.REALTIME = {"RIGHTS_SECONDS": 2.5}

    async def had_them_a_moment_ago(raw_token):
        pass

    monkeypatch.setattr(signing_keys, "prepare", had_them_a_moment_ago)
    issuer.hang()
    waiting = [asyncio.create_task(outcome(sign())) for _ in range(5)]
    await issuer.until_asked()
    async with asyncio.timeout(2.2):
        await asyncio.gather(*(threads.run_in_thread(time.sleep, 0) for _ in range(8)))
    assert set(await asyncio.gather(*waiting)) == {"later"}
    # The thread that was given up goes on, and would ask the issuer of the next test.
    issuer.heal()
    pool = threads._pools.get("authenticators", 4, 16)
    async with asyncio.timeout(60):
        while pool.lost:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"out of order"),
        (404, b"{}"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": 5}'),
        (200, b'{"keys": [{"kty": "oct"}]}'),
        (200, None),
    ],
)
async def test_a_broken_issuer_does_not_refuse_tokens_for_good(sign, issuer, answer, caplog):
    issuer.fail(*answer)
    issuer.hang()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(outcomes([sign() for _ in range(5)]))
        await issuer.until_asked()
        issuer.answer()
    assert waiting.result() == ["later"] * 5
    assert issuer.requests == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    issuer.heal()
    assert await outcome(sign()) == "alice"


async def test_cached_keys_work_while_the_issuer_is_unavailable(sign, issuer):
    known = sign()
    assert await outcome(known) == "alice"
    issuer.fail()
    assert await outcome(sign(kid="another")) == "later"
    assert await outcome(known) == "alice"


async def test_expired_keys_are_fetched_again(sign, issuer):
    assert await outcome(sign()) == "alice"
    cache = state.token_backend.jwks_client.jwk_set_cache
    cache.jwk_set_with_timestamp.timestamp -= cache.lifespan
    assert await outcomes([sign() for _ in range(20)]) == ["alice"] * 20
    assert issuer.requests == 2


async def test_an_expired_token_causes_no_fetch(sign, issuer):
    expired = [sign(lifetime=-10) for _ in range(100)]
    assert set(await outcomes(expired)) == {"expired"}
    assert issuer.requests == 0
    assert await outcome(sign()) == "alice"
    assert set(await outcomes(expired)) == {"expired"}
    old = issuer.rotate()
    assert await outcome(sign()) == "alice"
    assert await outcome(sign(old, lifetime=-10)) == "expired"
    assert issuer.requests == 2


NAMES = list(forgeries(Key(), Key().sign({})))


@pytest.mark.parametrize("name", NAMES)
async def test_forgeries_are_refused_without_waiting_for_the_issuer(
    sign, issuer, name, caplog, settings
):
    settings.REALTIME = {"RIGHTS_SECONDS": 60}
    good = sign()
    assert await outcome(good) == "alice"
    issuer.hang()
    async with asyncio.timeout(60):  # a third of the time for which the issuer would be waited for
        assert await outcome(forgeries(issuer.key, good)[name]) == "refused"
    assert issuer.requests == 1
    assert not caplog.records


async def test_forgeries_cause_no_first_fetch(sign, issuer):
    made = forgeries(issuer.key, sign())
    # Only this one has a key id and the right algorithm.
    plausible = made.pop("HMAC under the right name")
    assert set(await outcomes(made.values())) == {"refused"}
    assert issuer.requests == 0
    assert await outcome(plausible) == "refused"


async def test_a_token_must_be_signed_with_the_key_that_it_names(sign, issuer):
    stranger = Key()
    assert await outcome(sign(stranger, kid=issuer.key.id)) == "refused"


@pytest.mark.parametrize("kind", ["oct", "RSA", "enc"])
async def test_a_key_of_another_type_verifies_nothing_and_breaks_nothing(
    sign, issuer, kind, caplog
):
    odd = {
        "oct": {"kty": "oct", "kid": "odd", "k": "c2VjcmV0LW9mLXRoZS10ZXN0cw"},
        "RSA": {**Key("RS256").jwk, "kid": "odd"},
        "enc": {**issuer.key.jwk, "kid": "odd", "use": "enc"},
    }[kind]
    issuer.keys = [odd, *issuer.keys]
    tokens = [sign(), sign(kid="odd"), sign()]
    assert await outcomes(tokens) == ["alice", "refused", "alice"]
    assert not caplog.records


class Hybrid(SimpleJWTAuthenticator):
    """Accepts tokens of the issuer, and some of its own."""

    def authenticate(self, raw_token):
        return Identity(ALICE) if raw_token == "opaque" else super().authenticate(raw_token)


async def test_a_subclass_may_accept_other_tokens_too(sign, issuer, monkeypatch):
    monkeypatch.setattr(verification, "_authenticator", lambda path: Hybrid())
    issuer.fail()
    assert await outcomes(["opaque", "another", sign()]) == ["alice", "refused", "later"]
    issuer.heal()
    assert await outcomes([sign(), sign(kid="unknown"), "opaque"]) == ["alice", "refused", "alice"]


@pytest.mark.django_db(transaction=True)
async def test_users_of_an_external_issuer_are_read_with_one_query(sign, count_queries):
    people = [await User.objects.acreate(username=f"u{n}") for n in range(100)]
    tokens = [sign(user=person) for person in people]
    with count_queries() as queries:
        assert await outcomes(tokens) == [person.username for person in people]
    assert len(queries) <= 2
