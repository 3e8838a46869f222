"""Tickets and the list of rooms over HTTP."""

import json

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from realtime.authentication.tickets import identities_from_tickets
from realtime.exceptions import AuthenticationError, LayerUnavailable
from realtime.layers import get_layer
from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


def bearer(user, **claims):
    token = AccessToken.for_user(user)
    for name, value in claims.items():
        token[name] = value
    return {"headers": {"Authorization": f"Bearer {token}"}}


def test_rooms_need_a_credential(client):
    assert client.get("/realtime/rooms/").status_code == 401
    assert client.post("/realtime/ticket/").status_code == 401


def test_only_rooms_that_the_user_may_enter_are_listed(client, alice):
    Room.objects.create(name="lobby", title="The Lobby", access="authenticated")
    Room.objects.create(name="secret")
    Room.objects.create(name="old", access="anyone", archived=True)
    news = Room.objects.create(name="news")
    Membership.objects.create(room=news, user=alice, role="reader")
    response = client.get("/realtime/rooms/", **bearer(alice))
    assert response.json()["rooms"] == [
        {
            "name": "news",
            "title": "news",
            "access": "members",
            "rights": {"join": True, "publish": False, "moderate": False},
        },
        {
            "name": "lobby",
            "title": "The Lobby",
            "access": "authenticated",
            "rights": {"join": True, "publish": True, "moderate": False},
        },
    ]
    assert response["Cache-Control"] == "no-store"


def test_scopes_limit_the_list(client, alice):
    Room.objects.create(name="lobby", access="authenticated")
    listed = client.get("/realtime/rooms/", **bearer(alice, scope="realtime:publish"))
    assert listed.json() == {"rooms": []}


def test_a_ticket_holds_the_identity_and_works_once(client, alice):
    response = client.post("/realtime/ticket/", **bearer(alice, sid="s1", scope="realtime:join"))
    assert response.json()["expires_in"] == 30
    assert response["Cache-Control"] == "no-store"
    redeem = async_to_sync(get_layer().redeem_ticket)
    kept = redeem(response.json()["ticket"])
    assert redeem(response.json()["ticket"]) is None
    (identity,) = identities_from_tickets([kept])
    assert (identity.user, identity.session_id) == (alice, "s1")
    assert identity.scopes == {"realtime:join"}
    assert identity.expires_at > 0


def test_a_ticket_of_a_deleted_user_is_refused(client, alice):
    ticket = client.post("/realtime/ticket/", **bearer(alice)).json()["ticket"]
    kept = async_to_sync(get_layer().redeem_ticket)(ticket)
    User.objects.update(is_active=False)
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)
    User.objects.all().delete()
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)


def test_a_ticket_is_refused_after_a_change_of_the_password(client, alice):
    ticket = client.post("/realtime/ticket/", **bearer(alice)).json()["ticket"]
    kept = async_to_sync(get_layer().redeem_ticket)(ticket)
    alice.set_password("another")
    alice.save()
    assert isinstance(identities_from_tickets([kept])[0], AuthenticationError)


def test_a_django_session_gets_a_ticket_only_with_a_csrf_token(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/realtime/ticket/").status_code == 403
    assert client.get("/realtime/rooms/").status_code == 200


def test_tickets_are_throttled(client, alice, monkeypatch):
    monkeypatch.setattr("realtime.rest.tickets.TicketThrottle.get_rate", lambda self: "2/min")
    statuses = [client.post("/realtime/ticket/", **bearer(alice)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_without_redis_a_ticket_is_a_temporary_error(client, alice, monkeypatch):
    def away(*args):
        raise LayerUnavailable("away")

    monkeypatch.setattr(get_layer(), "store_ticket", away)
    response = client.post("/realtime/ticket/", **bearer(alice))
    assert response.status_code == 503
    assert json.loads(response.content)["code"] == "unavailable"


@pytest.mark.parametrize("odd", [["1"], {"pk": 1}, 10**30, "1\x00", None, "x"])
@pytest.mark.parametrize("claim", ["user_id", "exp"])
def test_tokens_with_impossible_claims_are_refused(client, alice, claim, odd):
    for path, ask in (("/realtime/rooms/", client.get), ("/realtime/ticket/", client.post)):
        assert ask(path, **bearer(alice, **{claim: odd})).status_code == 401
