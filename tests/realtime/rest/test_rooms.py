"""The list of rooms over HTTP."""

import pytest
from django.test import Client

from realtime.models import Membership, Room

pytestmark = pytest.mark.django_db


def test_rooms_need_a_credential(client):
    assert client.get("/realtime/rooms/").status_code == 401


def test_only_rooms_that_the_user_may_enter_are_listed(client, bearer, alice):
    Room.objects.create(name="lobby", title="The Lobby", access="authenticated")
    Room.objects.create(name="secret")
    Room.objects.create(name="old", access="anyone", archived=True)
    news = Room.objects.create(name="news")
    Membership.objects.create(room=news, user=alice, role="reader")
    response = client.get("/realtime/rooms/", **bearer())
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


def test_scopes_limit_the_list(client, bearer):
    Room.objects.create(name="lobby", access="authenticated")
    listed = client.get("/realtime/rooms/", **bearer(scope="realtime:publish"))
    assert listed.json() == {"rooms": []}


def test_a_django_session_gets_the_list_without_a_csrf_token(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.get("/realtime/rooms/").status_code == 200


@pytest.mark.parametrize("odd", [["1"], {"pk": 1}, 10**30, "1\x00", None, "x"])
@pytest.mark.parametrize("claim", ["user_id", "exp"])
def test_tokens_with_impossible_claims_are_refused(client, bearer, claim, odd):
    assert client.get("/realtime/rooms/", **bearer(**{claim: odd})).status_code == 401
