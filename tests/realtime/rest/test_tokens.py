"""Access tokens for the pages of a signed-in session."""

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from realtime.authentication import SimpleJWTAuthenticator, django_sign_in

pytestmark = pytest.mark.django_db


class OwnAuthenticator:
    def authenticate(self, raw_token):
        raise NotImplementedError


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return client


def test_the_token_is_of_the_session(page, alice, settings):
    answer = page.post("/realtime/token/")
    assert answer["Cache-Control"] == "no-store"
    given = answer.json()
    identity = SimpleJWTAuthenticator().authenticate(given["token"])
    assert identity.user == alice
    assert identity.session_id == django_sign_in(page.session.session_key)
    assert given["expires_in"] == 300
    assert abs(identity.expires_at - time.time() - 300) < 10


def test_the_token_does_not_outlive_the_session(page):
    end = timezone.now() + timedelta(seconds=60)
    Session.objects.update(expire_date=end)
    given = page.post("/realtime/token/").json()
    assert given["expires_in"] <= 60
    identity = SimpleJWTAuthenticator().authenticate(given["token"])
    assert identity.expires_at <= end.timestamp() + 1


def test_only_a_session_gets_a_token(client, bearer):
    assert client.post("/realtime/token/").status_code == 403
    assert client.post("/realtime/token/", **bearer()).status_code == 403
    assert client.get("/realtime/token/").status_code in (403, 405)


def test_the_csrf_check_holds(page, alice):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post("/realtime/token/").status_code == 403
    strict.cookies["csrftoken"] = "a" * 32
    headers = {"X-CSRFToken": "a" * 32}
    assert strict.post("/realtime/token/", headers=headers).status_code == 200


def test_tokens_are_throttled(page, monkeypatch):
    rates = {"realtime_token": "1/min"}
    throttle = "realtime.rest.tokens.SessionTokenThrottle.THROTTLE_RATES"
    monkeypatch.setattr(throttle, rates)
    assert page.post("/realtime/token/").status_code == 200
    assert page.post("/realtime/token/").status_code == 429


def test_a_site_with_tokens_from_elsewhere_says_so(page, settings):
    settings.REALTIME = {"AUTHENTICATOR": f"{__name__}.OwnAuthenticator"}
    answer = page.post("/realtime/token/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_available")
