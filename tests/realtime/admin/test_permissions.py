"""The permissions of the console, and its confirmation pages."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from realtime.models import Membership
from tests.support.pages import (
    FIELDS,
    LIST,
    NEEDS,
    confirm,
    each_action,
    logged,
    said,
    text_of,
)

pytestmark = pytest.mark.django_db


@each_action
def test_an_action_is_offered_to_who_has_its_permission(as_staff, connect, alice, lobby, action):
    connect(alice, "lobby")
    browser = as_staff("view_connection", "view_room", "view_user", NEEDS[action])
    pages = [
        browser.get(LIST),
        browser.get(f"/admin/auth/user/{alice.pk}/change/"),
        browser.get(f"/admin/realtime/room/{lobby.pk}/change/"),
    ]
    assert f'<option value="{action}">' in pages[0].content.decode()
    for page in pages[1:]:
        assert f"{LIST}{action}/?" in page.content.decode()
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 200


@each_action
def test_without_the_permission_an_action_is_neither_offered_nor_done(
    as_staff, layer, connect, alice, lobby, action
):
    client = connect(alice, "lobby")
    others = {permission for permission in NEEDS.values() if permission != NEEDS[action]}
    browser = as_staff("view_connection", "view_room", "view_user", "change_membership", *others)
    for address in (
        LIST,
        f"/admin/auth/user/{alice.pk}/change/",
        f"/admin/realtime/room/{lobby.pk}/change/",
    ):
        html = browser.get(address).content.decode()
        assert f'value="{action}"' not in html
        assert f"{LIST}{action}/" not in html
    forged = {"action": action, "_selected_action": client, "index": "0", "confirmed": "yes"}
    answers = [
        browser.post(LIST, forged),
        browser.get(f"{LIST}{action}/?user={alice.pk}"),
        browser.post(f"{LIST}{action}/", {"clients": client}),
        confirm(browser, action, client),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert not layer.told
    assert not LogEntry.objects.exists()
    assert not Membership.objects.exists()


@each_action
def test_the_permission_of_an_action_alone_shows_nobody(as_staff, layer, connect, alice, action):
    client = connect(alice, "lobby")
    browser = as_staff(NEEDS[action])
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 403
    assert confirm(browser, action, client).status_code == 403
    assert not layer.told


@each_action
def test_nothing_is_done_before_it_is_confirmed(admin_client, layer, connect, alice, lobby, action):
    client = connect(alice, "lobby")
    chosen = {"action": action, "_selected_action": client, "index": "0"}
    answers = [
        admin_client.get(f"{LIST}{action}/", {"user": alice.pk, **FIELDS[action]}),
        admin_client.get(
            f"{LIST}{action}/", {"user": alice.pk, "confirmed": "yes", **FIELDS[action]}
        ),
        admin_client.get(LIST, chosen),
        admin_client.post(LIST, chosen),
        admin_client.post(f"{LIST}{action}/", {"clients": client, **FIELDS[action]}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "alice" in text_of(answers[3])
    assert f'name="clients" value="{client}"' in answers[3].content.decode()
    assert not layer.told
    assert not LogEntry.objects.exists()
    assert not Membership.objects.exists()


@each_action
def test_a_form_of_another_site_does_nothing(admin_user, layer, connect, alice, lobby, action):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert confirm(browser, action, connect(alice, "lobby")).status_code == 403
    assert not layer.told


@each_action
def test_connections_that_have_ended_are_reported(
    admin_client, layer, connect, alice, bob, lobby, action
):
    stays, goes = connect(alice, "lobby"), connect(bob, "lobby")
    layer.end(goes)
    response = confirm(admin_client, action, stays, goes)
    assert response.status_code == 302
    assert "1 of the chosen connections has ended in the meantime." in said(response)
    assert {about for _, _, about, _ in logged()} <= {"alice", "lobby"}
    response = confirm(admin_client, action, goes)
    assert said(response)[-1] == "Nobody who was chosen is connected any more."


@each_action
def test_redis_may_be_away_when_it_is_confirmed(admin_client, layer, connect, alice, lobby, action):
    client = connect(alice, "lobby")
    layer.is_away = True
    response = confirm(admin_client, action, client)
    assert response.status_code == 302
    assert any("Redis does not answer" in text for text in said(response))


def test_there_is_no_other_action(admin_client, layer):
    assert admin_client.get(f"{LIST}delete/").status_code == 404
    assert admin_client.put(f"{LIST}disconnect/").status_code == 405


@pytest.mark.parametrize(
    ("asked", "back"),
    [
        ("/admin/auth/user/1/change/", "/admin/auth/user/1/change/"),
        ("https://evil.example/", LIST),
        ("//evil.example/", LIST),
        ("javascript:alert(1)", LIST),
    ],
)
def test_one_gets_back_to_where_one_was(admin_client, connect, alice, asked, back):
    response = confirm(admin_client, "disconnect", connect(alice), next=asked)
    assert response["Location"] == back


def test_all_that_match_are_chosen_across_pages(admin_client, connect, alice, bob):
    for _ in range(130):
        connect(alice)
    connect(bob)
    chosen = {"action": "notify", "_selected_action": "x", "select_across": "1", "index": "0"}
    page = admin_client.post(f"{LIST}?q=alice", chosen)
    assert len(page.context["clients"].split()) == 130
    assert "bob" not in text_of(page)
