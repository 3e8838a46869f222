"""Rooms with few memberships and with thousands: both are edited, and no page loads a table."""

import django
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from realtime.admin import deletion, filters, memberships
from realtime.models import Membership, Room
from tests.support.admin_forms import Form, _Page
from tests.support.pages import said, text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/realtime/membership/"


@pytest.fixture
def lobby():
    return Room.objects.create(name="lobby", title="The Lobby")


def fill(room, count, first=0):
    """Give `count` users a role in the room."""
    numbers = range(first, first + count)
    users = User.objects.bulk_create([User(username=f"user-{number:05}") for number in numbers])
    Membership.objects.bulk_create([Membership(room=room, user=user) for user in users])


def page_of(room):
    return f"/admin/realtime/room/{room.pk}/change/"


def form_on(client, path) -> Form:
    html = client.get(path).content.decode()
    (form,) = (form for form in _Page(html).forms if form.id == "room_form")
    return form


def send(client, path, form, **values):
    form.fill(**values)
    return client.post(path, form.fields)


def errors_in(response):
    return _Page(response.content.decode()).errors


def add(form, user, role="member"):
    prefix = form.add_row("memberships")
    form.names.update({f"{prefix}user", f"{prefix}role"})
    form.fields[f"{prefix}user"], form.fields[f"{prefix}role"] = [str(user.pk)], [role]


@pytest.mark.parametrize("count", [0, 1, 50, 51, 164, 10_000])
def test_a_room_is_saved_whatever_the_number_of_its_memberships(admin_client, lobby, count):
    fill(lobby, count)
    form = form_on(admin_client, page_of(lobby))
    shown = sum(name.endswith("-id") and "__prefix__" not in name for name in form.fields)
    assert shown == (count if count <= 50 else 0)
    bob = User.objects.create_user("bob")
    add(form, bob, "moderator")
    response = send(admin_client, page_of(lobby), form, title="Renamed")
    assert response.status_code == 302, errors_in(response)
    lobby.refresh_from_db()
    assert lobby.title == "Renamed"
    assert lobby.memberships.count() == count + 1
    assert lobby.memberships.get(user=bob).role == "moderator"


def test_the_page_of_a_large_room_leads_to_its_memberships(admin_client, lobby):
    address = f'href="{LIST}?room__id__exact={lobby.pk}"'
    fill(lobby, 50)
    html = admin_client.get(page_of(lobby)).content.decode()
    assert html.count(address) == 1, "a button"
    assert "This room has" not in html
    fill(lobby, 1, first=50)
    html = admin_client.get(page_of(lobby)).content.decode()
    assert "This room has 51 memberships." in html
    assert html.count(address) == 2


def test_somebody_who_has_a_role_already_is_not_added_twice(admin_client, lobby):
    fill(lobby, 60)
    form = form_on(admin_client, page_of(lobby))
    add(form, User.objects.get(username="user-00007"))
    response = send(admin_client, page_of(lobby), form)
    (error,) = errors_in(response)
    assert "already" in error
    assert lobby.memberships.count() == 60


@pytest.mark.parametrize(("before", "more"), [(50, 10), (40, 5), (60, -20)])
def test_a_form_is_saved_though_the_number_has_changed_since(admin_client, lobby, before, more):
    """From a form with rows to one without, and back."""
    fill(lobby, before)
    form = form_on(admin_client, page_of(lobby))
    if more > 0:
        fill(lobby, more, first=before)
    else:
        last = lobby.memberships.order_by("-pk").values("pk")[:-more]
        Membership.objects.filter(pk__in=list(last.values_list("pk", flat=True))).delete()
    if before <= 50:
        form.fields["memberships-3-muted"] = ["on"]
    response = send(admin_client, page_of(lobby), form, title="Renamed")
    assert response.status_code == 302, errors_in(response)
    assert lobby.memberships.filter(muted=True).count() == (before <= 50)
    assert lobby.memberships.count() == before + more


@pytest.mark.parametrize("key", ["", "x", "9" * 40, "-1", "\0"])
def test_a_key_that_no_row_has_is_an_error_of_its_row(admin_client, lobby, key):
    fill(lobby, 2)
    form = form_on(admin_client, page_of(lobby))
    form.fields["memberships-0-id"] = [key]
    response = send(admin_client, page_of(lobby), form)
    assert response.status_code == 200
    assert "Please correct the error" in response.content.decode()


@pytest.mark.parametrize(
    ("initial", "status"), [("1000000000", 302), ("-5", 200), ("0", 200), ("x", 200)]
)
def test_a_number_of_rows_that_no_form_has_adds_nothing(admin_client, lobby, initial, status):
    fill(lobby, 2)
    form = form_on(admin_client, page_of(lobby))
    form.fields["memberships-INITIAL_FORMS"] = [initial]
    assert send(admin_client, page_of(lobby), form).status_code == status
    assert lobby.memberships.count() == 2


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django refuses it, as if the row would stay")
def test_a_row_may_take_the_user_of_a_row_that_is_deleted(admin_client, lobby):
    fill(lobby, 2)
    form = form_on(admin_client, page_of(lobby))
    user = User.objects.get(username="user-00000")
    form.fields["memberships-0-DELETE"] = ["on"]
    add(form, user, "moderator")
    response = send(admin_client, page_of(lobby), form)
    assert response.status_code == 302, errors_in(response)
    assert lobby.memberships.get(user=user).role == "moderator"


def test_two_rows_of_one_user_are_refused(admin_client, lobby):
    bob = User.objects.create_user("bob")
    for path in (page_of(lobby), "/admin/realtime/room/add/"):
        form = form_on(admin_client, path)
        form.fields["name"] = ["other"]
        add(form, bob)
        add(form, bob, "reader")
        response = send(admin_client, path, form)
        assert "Please correct the duplicate data" in response.content.decode()


def test_no_page_loads_a_whole_table(admin_client, lobby):
    """The largest answer of the database, and the number of queries."""
    fill(lobby, 3_000)
    Room.objects.bulk_create([Room(name=f"room-{number}") for number in range(300)])
    Group.objects.bulk_create([Group(name=f"group-{number}") for number in range(300)])
    member = Membership.objects.first()
    pages = [
        page_of(lobby),
        "/admin/realtime/room/add/",
        f"{LIST}add/",
        f"{LIST}{member.pk}/change/",
    ]
    pages += ["/admin/realtime/room/", LIST, f"{LIST}?room__id__exact={lobby.pk}", f"{LIST}?q=user"]
    for page in pages:
        with CaptureQueriesContext(connection) as asked:
            html = admin_client.get(page).content.decode()
        assert len(asked) <= 30, page
        assert len(html) < 250_000, page
        for words in ("group-299", "room-299", "user-02999"):
            assert words not in html, page


def test_the_list_counts_the_memberships_and_leads_to_them(admin_client, lobby):
    fill(lobby, 12)
    lobby.groups.add(Group.objects.create(name="One"), Group.objects.create(name="Two"))
    Room.objects.create(name="empty")
    for query in ("", "?o=-5", f"?groups__id__exact={Group.objects.first().pk}", "?q=lob"):
        html = admin_client.get(f"/admin/realtime/room/{query}").content.decode()
        assert f'<a href="{LIST}?room__id__exact={lobby.pk}">12</a>' in html, query


def test_the_memberships_of_one_room_are_listed_searched_and_paged(admin_client, lobby):
    fill(lobby, 250)
    fill(Room.objects.create(name="other"), 5, first=900)
    of_lobby = {"room__id__exact": lobby.pk}
    page = admin_client.get(LIST, of_lobby)
    assert "Memberships in The Lobby" in page.content.decode()
    assert page.context["cl"].result_count == 250
    assert len(page.context["cl"].result_list) == 100
    found = admin_client.get(LIST, {**of_lobby, "q": "user-00249"}).context["cl"]
    assert [str(each.user) for each in found.result_list] == ["user-00249"]
    assert admin_client.get(LIST, {**of_lobby, "q": "user-00900"}).context["cl"].result_count == 0
    assert admin_client.get(LIST, {**of_lobby, "role__exact": "reader"}).status_code == 200


def test_a_membership_added_from_the_list_of_a_room_is_of_this_room(admin_client, lobby):
    html = admin_client.get(LIST, {"room__id__exact": lobby.pk}).content.decode()
    address = f"{LIST}add/?_changelist_filters=room__id__exact%3D{lobby.pk}"
    assert f'href="{address}"' in html
    form = admin_client.get(address).content.decode()
    assert f'<option value="{lobby.pk}" selected>The Lobby</option>' in form


@pytest.mark.parametrize("key", ["x", "0", "9" * 30, ""])
def test_a_room_that_does_not_exist_is_no_error(admin_client, lobby, key, monkeypatch):
    monkeypatch.setattr(filters, "MOST_LISTED", 0)
    assert admin_client.get(LIST, {"room__id__exact": key}).status_code in (200, 302)
    asked = {"_changelist_filters": f"room__id__exact={key}"}
    assert admin_client.get(f"{LIST}add/", asked).status_code == 200


@pytest.mark.parametrize("most", [0, 50])
def test_a_filter_of_a_large_table_shows_the_chosen_one(admin_client, lobby, monkeypatch, most):
    monkeypatch.setattr(filters, "MOST_LISTED", most)
    Room.objects.create(name="other", title="The Other")
    html = admin_client.get(LIST, {"room__id__exact": lobby.pk}).content.decode()
    assert ">The Lobby</a>" in html
    assert (">The Other</a>" in html) is (most > 0)
    plain = admin_client.get(LIST).content.decode()
    assert ("By room" in plain) is (most > 0)


def test_the_limit_keeps_a_form_below_what_django_takes(settings):
    fields_of_a_row, of_the_room = 6, 20
    rows = memberships.MembershipFormSet.most_rows
    assert rows * fields_of_a_row + of_the_room < 1_000 / 2


def delete(client, room):
    return client.post(f"/admin/realtime/room/{room.pk}/delete/", {"post": "yes"})


def test_a_large_room_is_deleted_without_reading_each_membership(
    admin_client, lobby, layer, django_capture_on_commit_callbacks
):
    fill(lobby, 2_000)
    lobby.groups.add(Group.objects.create(name="Staff"))
    path = f"/admin/realtime/room/{lobby.pk}/delete/"
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(path)
    assert len(asked) < 20
    assert "Memberships: 2000" in text_of(page)
    assert "Room-group relationship" in text_of(page)
    assert len(page.content) < 50_000
    with (
        CaptureQueriesContext(connection) as asked,
        django_capture_on_commit_callbacks(execute=True),
    ):
        assert delete(admin_client, lobby).status_code == 302
    assert len(asked) < 60
    assert [message["room"] for message in layer.told] == ["lobby"]
    assert not Membership.objects.exists()


def test_a_small_room_is_deleted_with_a_list_of_its_memberships(admin_client, lobby):
    fill(lobby, 3)
    page = text_of(admin_client.get(f"/admin/realtime/room/{lobby.pk}/delete/"))
    assert "user-00001 in The Lobby as member" in page


def test_a_large_room_is_not_deleted_without_the_permission_for_memberships(as_staff, lobby):
    fill(lobby, 60)
    browser = as_staff("view_room", "delete_room")
    page = browser.get(f"/admin/realtime/room/{lobby.pk}/delete/")
    assert "your account doesn't have permission" in text_of(page)
    assert delete(browser, lobby).status_code == 403
    assert Room.objects.exists()


def test_as_many_memberships_are_deleted_at_once_as_a_form_can_hold(
    admin_client, lobby, monkeypatch
):
    monkeypatch.setattr(deletion, "MOST_AT_ONCE", 3)
    fill(lobby, 4)
    keys = list(Membership.objects.values_list("pk", flat=True))
    chosen = {"action": "delete_selected", "_selected_action": keys}
    assert said(admin_client.post(LIST, chosen)) == ["You have chosen 4. Delete at most 3 at once."]
    response = admin_client.post(LIST, {**chosen, "_selected_action": keys[:3]})
    assert response.status_code == 200, "it asks"
    admin_client.post(LIST, {**chosen, "_selected_action": keys[:3], "post": "yes"})
    assert Membership.objects.count() == 1
