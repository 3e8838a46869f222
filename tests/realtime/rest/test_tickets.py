"""Single-use tickets over HTTP."""

import json

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client

from realtime.authentication.tickets import identities_from_tickets
from realtime.exceptions import AuthenticationError, LayerUnavailable
from realtime.layers import get_layer

pytestmark = pytest.mark.django_db


def test_tickets_need_a_credential(client):
    assert client.post("/realtime/ticket/").status_code == 401


def test_a_ticket_holds_the_identity_and_works_once(client, bearer, alice):
    response = client.post("/realtime/ticket/", **bearer(sid="s1", scope="realtime:join"))
    assert response.json()["expires_in"] == 30
    assert response["Cache-Control"] == "no-store"
    redeem = async_to_sync(get_layer().redeem_ticket)
    kept = redeem(response.json()["ticket"])
    assert redeem(response.json()["ticket"]) is None
    (identity,) = identities_from_tickets([kept])
    assert (identity.user, identity.session_id) == (alice, "s1")
    assert identity.scopes == {"realtime:join"}
    assert identity.expires_at > 0


def test_a_ticket_of_a_deleted_user_is_refused(client, bearer):
    ticket = client.post("/realtime/ticket/", **bearer()).json()["ticket"]
    kept = async_to_sync(get_layer().redeem_ticket)(ticket)
    User.objects.update(is_active=False)
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)
    User.objects.all().delete()
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)


def test_a_ticket_is_refused_after_a_change_of_the_password(client, bearer, alice):
    ticket = client.post("/realtime/ticket/", **bearer()).json()["ticket"]
    kept = async_to_sync(get_layer().redeem_ticket)(ticket)
    alice.set_password("another")
    alice.save()
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)


def test_a_django_session_gets_a_ticket_only_with_a_csrf_token(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/realtime/ticket/").status_code == 403
    csrf_token = "t" * 32
    client.cookies["csrftoken"] = csrf_token
    response = client.post("/realtime/ticket/", headers={"X-CSRFToken": csrf_token})
    assert response.status_code == 200


def test_tickets_are_throttled(client, bearer, monkeypatch):
    monkeypatch.setattr("realtime.rest.tickets.TicketThrottle.get_rate", lambda self: "2/min")
    statuses = [client.post("/realtime/ticket/", **bearer()).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_without_redis_a_ticket_is_a_temporary_error(client, bearer, monkeypatch):
    def away(*args):
        raise LayerUnavailable("away")

    monkeypatch.setattr(get_layer(), "store_ticket", away)
    response = client.post("/realtime/ticket/", **bearer())
    assert response.status_code == 503
    assert json.loads(response.content)["code"] == "unavailable"


def test_a_ticket_is_kept_where_redis_answers(client, bearer, monkeypatch):
    tried, store = [], get_layer().store_ticket

    def one_is_away(ticket, *args):
        tried.append(ticket)
        if len(tried) < 3:
            raise LayerUnavailable("away")
        store(ticket, *args)

    monkeypatch.setattr(get_layer(), "store_ticket", one_is_away)
    ticket = client.post("/realtime/ticket/", **bearer()).json()["ticket"]
    assert len(set(tried)) == 3
    # One that is late may have been kept: it must not be valid beside the other.
    assert ticket == tried[-1]
    assert async_to_sync(get_layer().redeem_ticket)(ticket) is not None


@pytest.mark.parametrize("odd", [["1"], {"pk": 1}, 10**30, "1\x00", None, "x"])
@pytest.mark.parametrize("claim", ["user_id", "exp"])
def test_tokens_with_impossible_claims_are_refused(client, bearer, claim, odd):
    assert client.post("/realtime/ticket/", **bearer(**{claim: odd})).status_code == 401
