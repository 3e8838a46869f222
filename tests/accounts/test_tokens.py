"""The token endpoints."""

import jwt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import checks
from realtime.authentication import django_sign_in

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


@pytest.fixture
def alice():
    return User.objects.create_user("alice", password=PASSWORD)


@pytest.fixture
def post(client):
    def _post(path, data):
        return client.post(f"/api/{path}/", data, content_type="application/json")

    return _post


@pytest.fixture
def pair(alice, post):
    response = post("token", {"username": "alice", "password": PASSWORD})
    assert response.status_code == 200
    return response.json()


def claims(token):
    key = django_settings.SIMPLE_JWT["SIGNING_KEY"]
    return jwt.decode(token, key, algorithms=["HS256"])


def signed(**odd):
    token = RefreshToken()
    token.payload.update(odd)
    return str(token)


def test_both_tokens_have_a_sid_that_survives_rotation(pair, post):
    sid = claims(pair["access"])["sid"]
    assert claims(pair["refresh"])["sid"] == sid
    rotated = post("token/refresh", {"refresh": pair["refresh"]}).json()
    assert claims(rotated["access"])["sid"] == claims(rotated["refresh"])["sid"] == sid
    assert claims(rotated["refresh"])["jti"] != claims(pair["refresh"])["jti"]


def test_each_sign_in_has_its_own_sid(pair, post):
    again = post("token", {"username": "alice", "password": PASSWORD}).json()
    assert claims(again["access"])["sid"] != claims(pair["access"])["sid"]


def test_a_rotated_refresh_token_is_refused(pair, post):
    post("token/refresh", {"refresh": pair["refresh"]})
    assert post("token/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_verify(pair, post):
    assert post("token/verify", {"token": pair["access"]}).status_code == 200
    assert post("token/verify", {"token": pair["access"][:-3] + "abc"}).status_code == 401


def test_logout_blacklists_the_refresh_token_and_a_second_logout_fails(pair, post):
    assert post("logout", {"refresh": pair["refresh"]}).status_code == 200
    assert post("token/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert post("logout", {"refresh": pair["refresh"]}).status_code == 401


def test_a_refresh_token_is_refused_after_a_change_of_the_password(pair, post, alice):
    alice.set_password("another one")
    alice.save()
    assert post("token/refresh", {"refresh": pair["refresh"]}).status_code == 401


@pytest.mark.parametrize("change", ["deactivate", "delete"])
def test_a_deleted_or_inactive_user_gets_no_new_tokens(pair, post, alice, change):
    if change == "delete":
        alice.delete()
    else:
        User.objects.update(is_active=False)
    assert post("token/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert post("token", {"username": "alice", "password": PASSWORD}).status_code == 401


@pytest.mark.parametrize("path", ["token", "token/refresh", "token/verify", "logout"])
@pytest.mark.parametrize(
    "body",
    [
        [],
        5,
        None,
        "text",
        {},
        {"username": None, "password": None, "refresh": None, "token": None},
        {"username": ["a"], "password": {}, "refresh": [1], "token": {}},
        {"username": "a\x00b", "password": "\x00", "refresh": "\x00", "token": "\x00"},
        {"username": "x" * 1_000_000, "password": "y", "refresh": "z" * 1_000_000, "token": "é"},
        {"username": "\ud800", "password": "y", "refresh": "\ud800", "token": "\ud800"},
    ],
    ids=lambda body: repr(body)[:30],
)
def test_malformed_bodies_are_answered_with_a_4xx_that_is_not_cached(post, path, body):
    response = post(path, body)
    assert 400 <= response.status_code < 500
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["token/refresh", "logout"])
@pytest.mark.parametrize(
    "odd",
    [
        {"user_id": ["1"]},
        {"user_id": {"a": 1}},
        {"user_id": "a\x00b"},
        {"user_id": 10**30},
        {"user_id": None},
        {"user_id": "1 OR 1=1"},
        {"exp": 10**30},
        {"exp": "soon"},
        {"exp": None},
        {"jti": None},
        {"jti": ["x"]},
    ],
    ids=repr,
)
def test_signed_tokens_with_impossible_claims_cause_no_server_error(post, path, odd):
    assert post(path, {"refresh": signed(**odd)}).status_code < 500


def test_a_body_that_is_not_json_is_a_bad_request(client):
    response = client.post("/api/token/", b"{", content_type="application/json")
    assert response.status_code == 400
    assert client.post("/api/token/", b"x", content_type="text/x").status_code == 415
    assert client.get("/api/token/").status_code == 405


def test_the_endpoints_share_one_rate_limit(post, monkeypatch):
    monkeypatch.setattr("accounts.views.TokenThrottle.get_rate", lambda self: "3/min")
    paths = ["token", "token/refresh", "token/verify", "logout"]
    assert [post(path, {}).status_code for path in paths] == [400, 400, 400, 429]


def throttled(client, monkeypatch, *forwarded):
    """Whether the last of these addresses meets a limit of as many requests as came before."""
    rate = f"{len(forwarded) - 1}/min"
    monkeypatch.setattr("accounts.views.TokenThrottle.get_rate", lambda self: rate)
    return [
        client.post("/api/token/", {}, headers={"X-Forwarded-For": it}).status_code == 429
        for it in forwarded
    ][-1]


INVENTED = ["10.0.0.1", "10.0.0.2", "10.0.0.3, 10.0.0.4"]


@pytest.mark.parametrize("proxies", [None, 0])
def test_a_client_can_not_invent_its_address(settings, client, monkeypatch, proxies):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    assert throttled(client, monkeypatch, *INVENTED)


def test_behind_a_proxy_clients_are_told_apart_by_what_the_proxy_adds(
    settings, client, monkeypatch
):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    assert throttled(client, monkeypatch, *(f"{it}, 203.0.113.7" for it in INVENTED))
    assert not throttled(client, monkeypatch, "203.0.113.8", "203.0.113.8", "203.0.113.9")


def test_a_deployment_is_asked_for_the_number_of_proxies(settings):
    assert checks.check_proxies() == []
    settings.REST_FRAMEWORK = {"NUM_PROXIES": None}
    assert [message.id for message in checks.check_proxies()] == ["accounts.W001"]


def test_tokens_are_never_cached(pair, post):
    for path, body in (
        ("token", {"username": "alice", "password": PASSWORD}),
        ("token/refresh", {"refresh": pair["refresh"]}),
        ("token/verify", {"token": pair["access"]}),
    ):
        assert post(path, body)["Cache-Control"] == "no-store"


# One sign-in in several tabs


@pytest.fixture
def ended(monkeypatch):
    """The sign-ins whose connections were closed."""
    closed = []
    monkeypatch.setattr("realtime.disconnect", lambda **order: closed.append(order["session"]))
    return closed


def test_a_logout_with_a_rotated_token_ends_the_sign_in(pair, post, ended):
    rotated = post("token/refresh", {"refresh": pair["refresh"]}).json()
    assert post("logout", {"refresh": pair["refresh"]}).status_code == 200
    assert ended == [claims(pair["refresh"])["sid"]]
    assert post("token/refresh", {"refresh": rotated["refresh"]}).status_code == 401


def test_a_logout_leaves_other_sign_ins_alone(pair, post, ended):
    other = post("token", {"username": "alice", "password": PASSWORD}).json()
    assert post("logout", {"refresh": pair["refresh"]}).status_code == 200
    assert ended == [claims(pair["refresh"])["sid"]]
    assert post("token/refresh", {"refresh": other["refresh"]}).status_code == 200


@pytest.mark.parametrize("odd", ["forged", "access", "expired"])
def test_a_logout_needs_a_token_that_proves_the_sign_in(pair, post, ended, odd):
    old = RefreshToken(pair["refresh"])
    old.set_exp(lifetime=-old.lifetime)
    token = {
        "forged": pair["refresh"][:-3] + "abc",
        "access": pair["access"],
        "expired": str(old),
    }[odd]
    assert post("logout", {"refresh": token}).status_code == 401
    assert ended == []


def test_tokens_of_a_signed_in_browser_end_with_its_session(client, alice, post):
    client.force_login(alice)
    pair = post("token", {"username": "alice", "password": PASSWORD}).json()
    assert claims(pair["access"])["sid"] == django_sign_in(client.session.session_key)


def test_tokens_of_another_user_do_not_belong_to_the_session(client, alice, post):
    client.force_login(User.objects.create_user("bob"))
    pair = post("token", {"username": "alice", "password": PASSWORD}).json()
    assert not claims(pair["access"])["sid"].startswith("django:")


def test_a_site_without_a_blacklist_is_told_what_is_missing(settings):
    assert checks.check_blacklist() == []
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "blacklist" not in app]
    (message,) = checks.check_blacklist()
    assert message.id == "accounts.E001" and "token_blacklist" in message.hint
