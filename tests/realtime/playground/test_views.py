"""The playground is for developers, signs in by session, and explains rights."""

import pytest
from django.contrib.auth import get_user
from django.test import Client
from django.urls import reverse

from realtime.models import Room

pytestmark = pytest.mark.django_db
PAGE, EXPLAIN, SIGN_OUT = "/", "/explain/", "/sign-out/"


@pytest.fixture
def alice(django_user_model):
    return django_user_model.objects.create_user("alice", password="correct horse")


@pytest.fixture
def developers(settings):
    settings.DEBUG = True


@pytest.mark.parametrize("path", [PAGE, EXPLAIN])
def test_without_debug_it_is_for_staff_alone(client, alice, settings, path):
    settings.DEBUG = False
    assert client.get(path).status_code == 404
    client.force_login(alice)
    assert client.get(path).status_code == 404
    alice.is_staff = True
    alice.save()
    assert client.get(path).status_code == 200


def test_without_debug_nobody_signs_in_or_out_here(client, alice, settings):
    settings.DEBUG = False
    credentials = {"username": "alice", "password": "correct horse"}
    assert client.post(PAGE, credentials).status_code == 404
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    assert client.post(PAGE, credentials).status_code == 404
    assert client.post(SIGN_OUT).status_code == 404
    page = client.get(PAGE).content.decode()
    assert "Sign out" not in page and "password" not in page


def test_the_form_signs_in_by_session(client, alice, developers):
    page = client.get(PAGE)
    assert b"playground.js" not in page.content
    refused = client.post(PAGE, {"username": "alice", "password": "wrong"})
    assert "That name and password don’t fit together." in refused.content.decode()
    signed_in = client.post(PAGE, {"username": "alice", "password": "correct horse"})
    assert signed_in.headers["Location"] == reverse("realtime_playground:page")
    assert get_user(client) == alice
    page = client.get(PAGE)
    assert b"playground.js" in page.content
    assert "no-store" in page.headers["Cache-Control"]
    client.post(SIGN_OUT)
    assert get_user(client).is_anonymous


def test_forms_of_other_sites_are_refused(alice, developers):
    client = Client(enforce_csrf_checks=True)
    credentials = {"username": "alice", "password": "correct horse"}
    assert client.post(PAGE, credentials).status_code == 403
    client.force_login(alice)
    assert client.post(SIGN_OUT).status_code == 403


def test_rights_are_explained_for_each_action(client, alice, developers):
    Room.objects.create(name="lobby", access="authenticated")
    client.force_login(alice)
    join, publish, moderate = client.get(EXPLAIN, {"room": "lobby"}).json()["actions"]
    assert (join["action"], join["allowed"]) == ("join", True)
    assert publish["sentence"].startswith("alice may publish in lobby: ")
    assert moderate["sentence"].startswith("alice may not moderate lobby: ")
    assert {"label", "verdict", "source", "is_part"} == set(join["rules"][0])


@pytest.mark.parametrize("room", ["", "\0", "nowhere", "a" * 1000, "_user/7"])
def test_odd_names_are_explained_too(client, alice, developers, room):
    client.force_login(alice)
    answers = client.get(EXPLAIN, {"room": room}).json()["actions"]
    assert [answer["allowed"] for answer in answers] == [False] * 3


def test_a_site_without_sessions_or_endpoints_is_told(client, alice, developers, settings):
    client.force_login(alice)
    settings.REALTIME = {**settings.REALTIME, "CREDENTIALS": ["connect"]}
    settings.ROOT_URLCONF = "tests.realtime.playground.urls_alone"
    page = client.get(PAGE).content.decode()
    assert "realtime.urls, which is not mounted" in page
    assert "leaves &quot;session&quot; out" in page
    assert "playground.js" not in page
