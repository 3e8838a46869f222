"""The endpoints take the tokens that open sockets: one authenticator decides for both."""

import jwt
import pytest
from django.contrib.auth.models import User
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from realtime.authentication import Identity, SimpleJWTAuthenticator, refusals, signing_keys
from realtime.exceptions import AuthenticationError
from realtime.models import Room
from tests.support.issuers import Issuer, Key, forgeries

pytestmark = pytest.mark.django_db(transaction=True)


class Opaque:
    def authenticate(self, raw_token):
        if raw_token == "broken":
            raise RuntimeError("the store is away")
        if raw_token == "expired":
            raise AuthenticationError("ended", expired=True)
        name, _, scope = raw_token.partition(":")
        user = User.objects.filter(username=name).first()
        if user is None:
            raise AuthenticationError("unknown")
        return Identity(user, scopes=frozenset(scope.split(",")) if scope else None)


class LaterOpaque:
    async def authenticate(self, raw_token):
        return Identity(await User.objects.aget(username=raw_token))


class Stricter(SimpleJWTAuthenticator):
    def authenticate(self, raw_token):
        identity = super().authenticate(raw_token)
        if identity.session_id == "":
            raise AuthenticationError("a sign-in is wanted")
        return identity


@pytest.fixture
def use(settings):
    def _use(name):
        settings.REALTIME = {**settings.REALTIME, "AUTHENTICATOR": f"{__name__}.{name}"}

    return _use


@pytest.fixture
def get(client):
    def _get(token, path="rooms/"):
        return client.get(f"/realtime/{path}", headers={"Authorization": f"Bearer {token}"})

    return _get


@pytest.mark.parametrize("name", ["Opaque", "LaterOpaque"])
def test_opaque_tokens_are_known_here_too(alice, use, get, name):
    use(name)
    assert get("alice").status_code == 200
    assert get(AccessToken.for_user(alice)).status_code in (401, 503)


def test_what_it_refuses_is_refused_with_its_words(alice, use, get):
    use("Opaque")
    answer = get("nobody")
    assert (answer.status_code, answer.json()["detail"]) == (401, "unknown")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert get("expired").status_code == 401
    User.objects.update(is_active=False)
    assert get("alice").status_code == 401


def test_one_that_breaks_is_a_reason_to_try_again(use, get, caplog, monkeypatch):
    monkeypatch.setattr(refusals, "_reported_at", -refusals.REPORT_SECONDS)
    use("Opaque")
    answer = get("broken")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "raised RuntimeError" in caplog.text


def test_its_scopes_hold(alice, use, get):
    use("Opaque")
    Room.objects.create(name="lobby", access="authenticated")
    assert get("alice:realtime:join", "rooms/lobby/history/").status_code == 200
    assert get("alice:realtime:publish", "rooms/lobby/history/").status_code == 403


def test_a_stricter_one_is_strict_here_too(alice, use, get):
    token = AccessToken.for_user(alice)
    assert get(token).status_code == 200
    use("Stricter")
    assert get(token).json()["detail"] == "a sign-in is wanted"
    token["sid"] = "phone"
    assert get(token).status_code == 200


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 9_000, "\x7f", "é", "null"])
def test_odd_tokens_are_refused(alice, get, token):
    assert get(token).status_code == 401


class Test_keys_of_an_issuer:
    @pytest.fixture(autouse=True)
    def of_a_provider(self, alice, issuer, monkeypatch):
        monkeypatch.setattr(state, "token_backend", TokenBackend("ES256", jwk_url=issuer.url))
        monkeypatch.setattr(signing_keys, "PAUSE_SECONDS", 0)
        signing_keys._of_threads.start_afresh()
        for name, value in {
            "TOKEN_TYPE_CLAIM": None,
            "JTI_CLAIM": None,
            "CHECK_REVOKE_TOKEN": False,
            "USER_ID_CLAIM": "sub",
            "USER_ID_FIELD": "username",
        }.items():
            monkeypatch.setattr(api_settings, name, value)

    @pytest.fixture
    def issuer(self):
        issuer = Issuer()
        yield issuer
        issuer.stop()

    def test_a_new_one_works_at_once(self, issuer, get):
        assert get(issuer.sign({"sub": "alice"})).status_code == 200
        issuer.rotate()
        assert get(issuer.sign({"sub": "alice"})).status_code == 200
        assert get(issuer.sign({"sub": "alice"})).status_code == 200
        assert issuer.requests == 2

    def test_one_that_can_not_be_read_is_a_reason_to_try_again(self, issuer, get):
        issuer.fail()
        assert get(issuer.sign({"sub": "alice"})).status_code == 503
        issuer.heal()
        assert get(issuer.sign({"sub": "alice"})).status_code == 200

    def test_names_that_somebody_makes_up_cost_one_request_a_second(self, issuer, get, monkeypatch):
        assert get(issuer.sign({"sub": "alice"})).status_code == 200
        monkeypatch.setattr(signing_keys, "PAUSE_SECONDS", 3_600)
        made_up = Key("ES256")
        statuses = [get(made_up.sign({"sub": "alice"})).status_code for _ in range(10)]
        assert statuses == [401] + [503] * 9
        assert issuer.requests == 2
        assert get(issuer.sign({"sub": "alice"})).status_code == 200

    def test_forgeries_are_refused(self, issuer, get):
        good = issuer.sign({"sub": "alice"})
        assert get(good).status_code == 200
        for forged in forgeries(issuer.key, good).values():
            assert get(forged).status_code == 401
        assert get(issuer.sign({"sub": "alice"}, lifetime=-60)).status_code == 401
        assert issuer.requests == 1

    def test_other_kinds_of_tokens_are_refused(self, issuer, get):
        answer = get(issuer.sign({"sub": "alice", "typ": "Refresh"}))
        assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
        assert "not an access token" in answer.json()["detail"]

    def test_unknown_users_are_created_here_too(self, issuer, get, settings):
        settings.REALTIME = {**settings.REALTIME, "UNKNOWN_USERS": "create"}
        assert get(issuer.sign({"sub": "zoe"})).status_code == 200
        assert User.objects.filter(username="zoe").exists()


def test_a_token_of_the_site_needs_no_issuer(alice, get):
    claims = jwt.decode(str(AccessToken.for_user(alice)), options={"verify_signature": False})
    assert get(jwt.encode(claims, "another key, of more than 32 bytes", "HS256")).status_code == 401
