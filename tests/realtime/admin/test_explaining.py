"""The page that explains why a user may do something in a room, or may not."""

import re

import pytest
from django.urls import reverse

from tests.support.pages import EXPLAIN, text_of

pytestmark = pytest.mark.django_db


def explain(client, **asked):
    return client.get(EXPLAIN, {"room": "lobby", "user": "", "action": "join", **asked})


def test_an_explanation_shows_rules_verdicts_and_the_outcome(as_staff, alice, lobby):
    lobby.memberships.create(user=alice, muted=True)
    browser = as_staff("view_room")
    shown = text_of(explain(browser, user="alice", action="publish"))
    assert "alice may not publish in lobby: " in shown
    assert re.search(r"user yes alice, id \d+, may sign in", shown)
    assert "membership no role member, muted" in shown
    assert "not asked" in shown


def test_an_explanation_heeds_the_scopes(as_staff, alice, lobby):
    browser = as_staff("view_room")
    assert "alice may join lobby" in text_of(explain(browser, user=alice.pk))
    narrowed = explain(browser, user="alice", scope="realtime:publish")
    assert "alice may not join lobby: the token has neither" in text_of(narrowed)


def test_an_explanation_is_given_of_who_is_not_signed_in(as_staff, lobby):
    browser = as_staff("view_room")
    assert "an anonymous user may not join lobby" in text_of(explain(browser))


def test_an_explanation_is_given_of_rooms_that_are_not_there(as_staff, alice):
    shown = text_of(explain(as_staff("view_room"), user="alice", room="lobyb"))
    assert "alice may not join lobyb: there is no such room" in shown


@pytest.mark.parametrize(
    ("field", "value"),
    [("user", "nobody"), ("user", "9" * 99), ("user", "a\0"), ("action", "dance"), ("room", "")],
)
def test_the_form_reports_what_it_can_not_explain(as_staff, alice, lobby, field, value):
    page = explain(as_staff("view_room"), **{"user": "alice", field: value})
    assert page.status_code == 200
    assert page.context["form"].errors[field]
    assert page.context["explanation"] is None


def test_explaining_takes_the_right_to_see_rooms_and_changes_nothing(client, as_staff, lobby):
    assert explain(client).status_code == 302
    browser = as_staff("view_connection")
    assert explain(browser).status_code == 403
    assert browser.post(EXPLAIN).status_code == 403


def test_explaining_is_no_post(admin_client):
    assert admin_client.post(EXPLAIN, {"room": "lobby"}).status_code == 405


def test_the_page_of_a_room_leads_to_its_explanation(admin_client, layer, lobby):
    address = f"{EXPLAIN}?room=lobby"
    page = admin_client.get(reverse("admin:realtime_room_change", args=[lobby.pk]))
    assert f'href="{address}"' in page.content.decode()
    form = admin_client.get(address).context["form"]
    assert form["room"].value() == "lobby"
    assert not form.is_bound
