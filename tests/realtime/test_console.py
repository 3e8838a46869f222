"""The admin as a live console: who is connected, what may be done about it, and why people may."""

import re
import time
from contextlib import contextmanager
from datetime import timedelta
from html import unescape

import msgspec
import pytest
from asgiref.sync import async_to_sync
from channels.layers import channel_layers
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from realtime import rooms
from realtime.admin import ConnectionAdmin, LiveConnectionsMixin, listing
from realtime.exceptions import LayerUnavailable
from realtime.layers.base import NOTICE, REMOVAL
from realtime.layers.memory import MemoryRoomLayer
from realtime.models import Membership, Room
from realtime.registry import Connection, Process

pytestmark = pytest.mark.django_db

LIST = "/admin/realtime/connection/"
EXPLAIN = "/admin/realtime/room/explain/"
HOSTILE = "<script>alert(1)</script>"
NEEDS = {
    "disconnect": "disconnect_connection",
    "mute": "moderate_room",
    "remove": "moderate_room",
    "notify": "notify_connection",
}
FIELDS = {
    "disconnect": {},
    "mute": {"room": "lobby"},
    "remove": {"room": "lobby", "how": "now"},
    "notify": {"text": "Maintenance at six."},
}
each_action = pytest.mark.parametrize("action", NEEDS)


class Layer(MemoryRoomLayer):
    """Keeps what is told to the processes. A connection that is told to close is gone at once."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.reads = 0
        self.is_away = False

    def live_processes_sync(self):
        self.reads += 1
        if self.is_away:
            raise LayerUnavailable("Redis does not answer")
        return super().live_processes_sync()

    def group_send_sync(self, group, message):
        if self.is_away:
            raise LayerUnavailable("Redis does not answer")
        self.told.append(message)
        if message["type"] == REMOVAL and not message["room"]:
            self.end(message["client"])

    def end(self, client):
        for connections in self._connections.values():
            connections.pop(client, None)

    def of_type(self, type):
        return [it for it in self.told if it["type"] == type]


@contextmanager
def layer_of_the_site(layer):
    before = channel_layers.backends
    channel_layers.backends = {"default": layer}
    yield
    channel_layers.backends = before


@pytest.fixture
def layer():
    layer = Layer()
    with layer_of_the_site(layer):
        yield layer


@pytest.fixture
def connect(layer):
    """`connect(alice, "lobby")`: a live connection, in a process of this name; returns its id."""
    numbers = iter(range(1, 100_000))

    def _connect(user=None, *in_rooms, process="web-1", **fields):
        number = next(numbers)
        known = {
            "client": f"client-{number:05}",
            "user": str(user.pk) if user else "",
            "username": user.username if user else "",
            "since": time.time() - number,
            "address": "203.0.113.7",
            "app": "js 5.3.5",
            "protocol": "centrifuge",
            "sign_in": "",
            "expires_at": None,
            "rooms": list(in_rooms),
            "unsent_bytes": 0,
            "process": process,
            **fields,
        }
        about = Process(
            id=process,
            host=f"host-of-{process}",
            pid=42,
            server="daphne",
            started_at=1.0,
            version="1",
        )
        async_to_sync(layer.beat)(process, msgspec.json.encode(about), 15)
        written = {known["client"]: msgspec.json.encode(Connection(**known))}
        async_to_sync(layer.write_connections)(process, written, {}, 15)
        return known["client"]

    return _connect


@pytest.fixture
def bob():
    return User.objects.create_user("bob")


@pytest.fixture
def as_staff(client):
    """`as_staff("view_connection")`: the browser of somebody on the staff with these permissions
    of the app, and of Django's users where `view_user` is one of them."""

    def _as(*permissions):
        clerk = User.objects.create_user("clerk", is_staff=True)
        found = Permission.objects.filter(codename__in=permissions)
        assert found.count() == len(permissions)
        clerk.user_permissions.set(found)
        client.force_login(clerk)
        client.user = clerk
        return client

    return _as


def text_of(response):
    """What people read on a page."""
    body = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def rows_of(response):
    return [row.pk for row in response.context["cl"].result_list]


def confirm(client, action, *clients, **fields):
    data = {"clients": " ".join(clients), "confirmed": "yes", **FIELDS[action], **fields}
    return client.post(f"{LIST}{action}/", data)


def said(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def logged():
    """Who did what to whom, as the admin's log has it, the oldest first."""
    entries = LogEntry.objects.order_by("pk")
    return [
        (it.user.username, it.content_type.model, it.object_repr, it.get_change_message())
        for it in entries
    ]


# The page


def test_the_page_is_for_who_may_see_connections(as_staff):
    browser = as_staff("view_room")
    assert browser.get(LIST).status_code == 403
    assert LIST not in browser.get("/admin/realtime/").content.decode()


def test_the_page_is_in_the_index_of_the_app(as_staff, connect, alice):
    browser = as_staff("view_connection")
    assert f'href="{LIST}"' in browser.get("/admin/realtime/").content.decode()
    connect(alice)
    page = browser.get(LIST)
    assert page.status_code == 200
    assert "Go" not in text_of(page).split(), "no action is permitted"


def test_a_connection_is_listed_with_what_is_known_of_it(admin_client, connect, alice, lobby):
    now = time.time()
    connect(
        alice, "lobby", "orders/42", since=now - 200, expires_at=now + 3700, unsent_bytes=70_000
    )
    page = admin_client.get(LIST)
    shown = text_of(page)
    for words in (
        "alice",
        "3 minutes ago",
        "203.0.113.7",
        "js 5.3.5",
        "centrifuge",
        "orders/42",
    ):
        assert words in shown
    for words in ("an hour from now", "68.4 KB", "host-of-web-1", "42 · daphne", "1 connection"):
        assert words in shown
    html = page.content.decode()
    assert f'<a href="/admin/auth/user/{alice.pk}/change/">alice</a>' in html
    assert f'<a href="/admin/realtime/room/{lobby.pk}/change/">lobby</a>' in html
    assert ">orders/42</a>" not in html
    assert re.search(r'title="\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"', html)


def test_who_may_not_see_users_and_rooms_gets_no_links_to_them(as_staff, connect, alice, lobby):
    connect(alice, "lobby")
    html = as_staff("view_connection").get(LIST).content.decode()
    assert "alice" in html
    assert "/admin/auth/user/" not in html
    assert "/admin/realtime/room/" not in html


def test_times_that_no_calendar_has_are_left_out(admin_client, connect):
    connect(expires_at=1e30)
    assert admin_client.get(LIST).status_code == 200


def test_many_rooms_are_shortened(admin_client, connect, alice):
    connect(alice, *[f"room-{number}" for number in range(12)])
    assert "7 more" in text_of(admin_client.get(LIST))


def test_connections_of_all_processes_are_counted(admin_client, connect, alice, bob):
    for process in ("web-1", "web-2"):
        connect(alice, process=process)
    connect(bob, process="web-2")
    connect(process="web-2")
    shown = text_of(admin_client.get(LIST))
    assert "4 connections 2 people signed in 2 processes" in shown
    assert "host-of-web-2 · 42 · daphne 3 connections" in shown


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("ALI", 2),
        ("client-00001", 1),
        ("2001:DB8", 1),
        ("Staff/", 1),
        ("swift", 1),
        ("ali lobby", 1),
        ("plain", 0),
        ("nobody", 0),
        ("'; -- %", 0),
    ],
)
def test_connections_are_searched(admin_client, connect, alice, bob, query, count):
    connect(alice, "lobby", address="2001:db8::1")
    connect(alice, "staff/secret")
    connect(bob, "lobby", app="swift 1")
    page = admin_client.get(LIST, {"q": query})
    assert len(rows_of(page)) == count
    assert ("No connection matches." in text_of(page)) == (count == 0)


def test_a_user_is_found_by_the_id(admin_client, connect, alice):
    one = connect(alice, client="x")
    assert rows_of(admin_client.get(LIST, {"q": str(alice.pk)})) == [one]


def test_links_narrow_the_list_exactly(admin_client, connect, alice, bob):
    one = connect(alice, "lobby")
    two = connect(alice, "lobby-2", process="web-2")
    three = connect(bob, "lobby", process="web-2")
    for params, expected in [
        ({"user": alice.pk}, [one, two]),
        ({"room": "lobby"}, [one, three]),
        ({"process": "web-2"}, [two, three]),
        ({"room": "lobby", "process": "web-2", "q": "bob"}, [three]),
        ({"room": "LOBBY"}, []),
    ]:
        page = admin_client.get(LIST, params)
        assert rows_of(page) == expected, params
    assert "Only: user alice" in text_of(admin_client.get(LIST, {"user": alice.pk}))


def test_a_hundred_are_on_a_page(admin_client, connect, alice):
    clients = [connect(alice) for _ in range(230)]
    assert rows_of(admin_client.get(LIST)) == clients[:100]
    last = admin_client.get(LIST, {"p": 3, "q": "alice"})
    assert rows_of(last) == clients[200:]
    assert "?p=2&amp;q=alice" in last.content.decode()
    assert rows_of(admin_client.get(LIST, {"p": 99})) == clients[200:]
    assert rows_of(admin_client.get(LIST, {"all": ""})) == clients


def test_columns_sort(admin_client, connect, alice, bob):
    slow = connect(alice, unsent_bytes=500)
    quick = connect(bob, unsent_bytes=20)
    column = ("action_checkbox", *ConnectionAdmin.list_display).index("unsent")
    assert rows_of(admin_client.get(LIST, {"o": column})) == [quick, slow]
    assert rows_of(admin_client.get(LIST, {"o": f"-{column}"})) == [slow, quick]
    assert rows_of(admin_client.get(LIST, {"o": "99.-x"})) == [slow, quick]


def test_it_is_said_that_only_this_process_is_known(admin_client, connect):
    connect()
    assert "only the connections of this process are listed" in text_of(admin_client.get(LIST))


def test_it_is_said_that_nobody_is_connected(admin_client, layer):
    assert "Nobody is connected." in text_of(admin_client.get(LIST))


@pytest.mark.parametrize("page", ["list", "user", "room"])
def test_pages_work_without_redis_and_say_so(admin_client, layer, alice, lobby, page):
    layer.is_away = True
    address = {
        "list": LIST,
        "user": f"/admin/auth/user/{alice.pk}/change/",
        "room": f"/admin/realtime/room/{lobby.pk}/change/",
    }[page]
    response = admin_client.get(address)
    assert response.status_code == 200
    assert "Redis does not answer" in text_of(response)


def test_pages_work_on_a_layer_that_keeps_no_rooms(admin_client, alice):
    with layer_of_the_site(object()):
        page = admin_client.get(f"/admin/auth/user/{alice.pk}/change/")
    assert "object can't keep rooms" in text_of(page)


def test_the_registry_is_read_once_a_page(as_staff, layer, connect, alice, lobby):
    browser = as_staff("view_connection", "view_user", "view_room", "notify_connection")
    connect(alice, "lobby")
    for address in (
        LIST,
        f"/admin/auth/user/{alice.pk}/change/",
        f"/admin/realtime/room/{lobby.pk}/change/",
        f"{LIST}notify/?user={alice.pk}",
    ):
        layer.reads = 0
        assert browser.get(address).status_code == 200
        assert layer.reads == 1, address


def test_a_longer_list_asks_the_database_no_more(as_staff, connect, count_queries, alice):
    browser = as_staff("view_connection", "view_user", "view_room")
    counts = []
    for first in (0, 40):
        for number in range(first, first + 40):
            room = Room.objects.create(name=f"room-{number}")
            connect(User.objects.create_user(f"user-{number}"), room.name)
        with count_queries() as queries:
            assert len(rows_of(browser.get(LIST))) == first + 40
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_nothing_that_people_or_clients_name_is_html(admin_client, layer, connect):
    mallory = User.objects.create_user(HOSTILE)
    room = Room.objects.create(name="lobby", title=HOSTILE, access=Room.Access.ANYONE)
    clients = [
        connect(mallory, "lobby", HOSTILE, app=HOSTILE, address=HOSTILE, protocol=HOSTILE),
        connect(None, "lobby", app=HOSTILE),
    ]
    pages = [
        admin_client.get(LIST),
        admin_client.get(
            LIST, {"q": HOSTILE, "user": HOSTILE, "room": HOSTILE, "process": HOSTILE}
        ),
        admin_client.get(f"/admin/auth/user/{mallory.pk}/change/"),
        admin_client.get(f"/admin/realtime/room/{room.pk}/change/"),
        admin_client.get(EXPLAIN, {"room": "lobby", "user": HOSTILE, "action": "join"}),
        admin_client.get(EXPLAIN, {"room": HOSTILE, "user": f"{HOSTILE}x", "action": HOSTILE}),
        *[admin_client.get(f"{LIST}{action}/?room=lobby&next={HOSTILE}") for action in NEEDS],
        confirm(admin_client, "notify", *clients, text=HOSTILE * 50),
    ]
    confirm(admin_client, "mute", *clients, reason=HOSTILE)
    confirm(admin_client, "disconnect", *clients, reason=HOSTILE)
    pages += [
        admin_client.get("/admin/"),
        admin_client.get(f"/admin/auth/user/{mallory.pk}/history/"),
        admin_client.get(f"/admin/realtime/room/{room.pk}/history/"),
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.content.decode()
        assert "alert(1)" in text_of(page)


def test_the_model_without_a_table_is_in_no_ones_way(capsys):
    call_command("dumpdata", "realtime", "--all")
    assert capsys.readouterr().out.strip() == "[]"


# Who may do what


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
    others = {it for it in NEEDS.values() if it != NEEDS[action]}
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
def test_who_is_gone_by_then_is_told_of(admin_client, layer, connect, alice, bob, lobby, action):
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
    assert any("Redis does not answer" in it for it in said(response))


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


# What they do


def test_connections_are_closed(as_staff, layer, connect, alice, bob):
    browser = as_staff("view_connection", "disconnect_connection")
    here, there, other = connect(alice), connect(alice, process="web-2"), connect(bob)
    response = confirm(browser, "disconnect", here, there, reason="spam")
    told = layer.of_type(REMOVAL)
    assert {(it["client"], it["code"], it["reason"], it["user"]) for it in told} == {
        (here, 3503, "spam", None),
        (there, 3503, "spam", None),
    }
    assert said(response) == ["2 connections of alice were closed."]
    assert logged() == [("clerk", "user", "alice", f"Disconnected ({here}, {there}). Reason: spam")]
    assert rows_of(browser.get(LIST)) == [other]


def test_a_connection_that_is_nobodys_is_closed_and_logged(admin_client, connect):
    client = connect(None, "lobby")
    confirm(admin_client, "disconnect", client)
    assert logged() == [
        ("admin", "connection", "somebody at 203.0.113.7", f"Disconnected ({client}).")
    ]
    assert "somebody at 203.0.113.7" in text_of(admin_client.get("/admin/"))


def test_what_does_not_close_is_said(admin_client, layer, connect, alice, monkeypatch):
    monkeypatch.setattr(listing, "GONE_SECONDS", 0.1)
    monkeypatch.setattr(layer, "end", lambda client: None)
    response = confirm(admin_client, "disconnect", connect(alice))
    assert "told to close and is still listed" in said(response)[0]


def test_a_notice_is_sent(as_staff, layer, connect, alice, bob):
    browser = as_staff("view_connection", "notify_connection")
    clients = [connect(alice), connect(alice, process="web-2"), connect(bob)]
    text = "line\r\n" + "x" * 995
    response = confirm(browser, "notify", *clients, text=text)
    told = layer.of_type(NOTICE)
    assert [it["client"] for it in told] == clients
    assert {it["text"] for it in told} == {"line\n" + "x" * 995}
    assert said(response) == ["The notice was sent to alice, bob."]
    assert [about for _, _, about, _ in logged()] == ["alice", "bob"]
    assert all("xxx" in what for _, _, _, what in logged())


@pytest.mark.parametrize("text", ["", "  ", "x" * 1001, "a\0b"])
def test_a_text_that_is_no_notice_is_explained(admin_client, layer, connect, alice, text):
    response = confirm(admin_client, "notify", connect(alice), text=text)
    assert response.status_code == 200
    assert response.context["form"].errors["text"]
    assert "Please correct the error below." in text_of(response)
    assert not layer.told


def test_who_is_muted_keeps_reading(as_staff, layer, connect, alice, bob, lobby):
    lobby.memberships.create(user=bob, role=Membership.Role.MODERATOR)
    browser = as_staff("view_connection", "moderate_room")
    clients = [connect(alice, "lobby"), connect(alice, "lobby"), connect(bob, "lobby", "staff")]
    response = confirm(browser, "mute", *clients, connect(None, "lobby"), reason="shouts")
    roles = {it.user.username: (it.role, it.muted) for it in lobby.memberships.all()}
    assert roles == {"alice": ("member", True), "bob": ("moderator", True)}
    fresh = User.objects.get(pk=alice.pk)
    assert fresh.has_perm("realtime.join_room", lobby)
    assert not fresh.has_perm("realtime.publish_room", lobby)
    assert said(response) == ["Muted in lobby: alice, bob."]
    assert logged() == [
        ("clerk", "user", "alice", "Muted in the room lobby. Reason: shouts"),
        ("clerk", "user", "bob", "Muted in the room lobby. Reason: shouts"),
        ("clerk", "room", "lobby", "Muted: alice, bob. Reason: shouts"),
    ]


def test_a_role_that_has_expired_is_no_obstacle(admin_client, connect, alice, lobby):
    over = timezone.now() - timedelta(days=1)
    lobby.memberships.create(user=alice, role="moderator", expires_at=over)
    confirm(admin_client, "mute", connect(alice, "lobby"))
    assert not User.objects.get(pk=alice.pk).has_perm("realtime.publish_room", lobby)
    assert lobby.memberships.get().role == "member"


def test_a_role_that_goes_on_for_a_while_is_muted_as_it_is(admin_client, connect, alice, lobby):
    soon = timezone.now() + timedelta(days=1)
    lobby.memberships.create(user=alice, role="moderator", expires_at=soon)
    confirm(admin_client, "mute", connect(alice, "lobby"))
    membership = lobby.memberships.get()
    assert (membership.role, membership.muted, membership.expires_at) == ("moderator", True, soon)


def test_muting_that_would_change_nothing_is_not_done(
    admin_client, admin_user, connect, alice, bob, lobby
):
    alice.user_permissions.add(Permission.objects.get(codename="publish_room"))
    lobby.memberships.create(user=bob, muted=True)
    gone = User.objects.create_user("gone")
    clients = [connect(user, "lobby") for user in (admin_user, alice, bob, gone)]
    gone.delete()
    response = confirm(admin_client, "mute", *clients)
    assert said(response) == [
        "admin was not muted: superusers may publish everywhere, whatever their role.",
        "alice was not muted: who may publish in every room may do so whatever the role.",
        "bob was not muted: they are muted already.",
        "gone was not muted: the user has been deleted.",
    ]
    assert lobby.memberships.count() == 1
    assert not logged()


def test_superusers_are_not_offered_to_be_muted(admin_client, admin_user, connect, alice, lobby):
    connect(admin_user, "lobby")
    page = admin_client.get(f"{LIST}mute/?room=lobby")
    assert "None of these connections is in a room" in text_of(page)
    remark = "admin can't be muted: superusers may publish everywhere, whatever their role."
    assert remark in text_of(page)
    connect(alice, "lobby")
    page = admin_client.get(f"{LIST}mute/?room=lobby")
    assert remark in text_of(page)
    assert page.context["form"].fields["room"].choices == [("lobby", "lobby: alice")]


def test_muting_lets_nobody_in(as_staff, connect, alice, bob):
    """Whose right ended while the page was open: a role would give it back."""
    secret = Room.objects.create(name="secret")
    browser = as_staff("view_connection", "moderate_room")
    response = confirm(browser, "mute", connect(alice, "secret"), room="secret")
    assert "they may not be in the room any more" in said(response)[0]
    assert not secret.memberships.exists()


def test_who_may_publish_by_another_rule_is_told_of(admin_client, connect, alice, lobby, settings):
    settings.AUTHENTICATION_BACKENDS = [
        *settings.AUTHENTICATION_BACKENDS,
        "tests.realtime.test_console.EverybodyPublishes",
    ]
    response = confirm(admin_client, "mute", connect(alice, "lobby"))
    assert "alice may publish nevertheless: " in said(response)[1]


class EverybodyPublishes:
    def has_perm(self, user, perm, obj=None):
        return perm == "realtime.publish_room" and obj is not None


def test_people_are_removed_for_now(as_staff, layer, connect, alice, lobby):
    lobby.memberships.create(user=alice)
    browser = as_staff("view_connection", "moderate_room")
    unknown = connect(None, "lobby")
    response = confirm(browser, "remove", connect(alice, "lobby"), unknown, reason="off topic")
    told = [(it["room"], it["user"], it["client"], it["reason"]) for it in layer.of_type(REMOVAL)]
    assert told == [
        ("lobby", str(alice.pk), "", "off topic"),
        ("lobby", None, unknown, "off topic"),
    ]
    assert lobby.memberships.exists()
    assert said(response) == ["Removed from lobby: alice, somebody at 203.0.113.7."]
    assert logged() == [
        ("clerk", "user", "alice", "Removed from the room lobby. Reason: off topic"),
        ("clerk", "connection", "somebody at 203.0.113.7", logged()[0][3]),
        ("clerk", "room", "lobby", "Removed: alice, somebody at 203.0.113.7. Reason: off topic"),
    ]


def test_people_are_removed_with_their_role(admin_client, layer, connect, alice, lobby):
    lobby.memberships.create(user=alice, role="moderator")
    response = confirm(admin_client, "remove", connect(alice, "lobby"), how="role")
    assert not lobby.memberships.exists()
    assert len(layer.of_type(REMOVAL)) == 1
    assert said(response) == [
        "Removed from lobby: alice.",
        "alice may come back: every signed-in user may enter.",
    ]
    assert [what for _, _, _, what in logged()] == [
        "Took the role away: moderator in the room lobby.",
        "Removed from the room lobby.",
        "Removed: alice.",
    ]


@pytest.mark.parametrize("action", ["mute", "remove"])
def test_moderators_on_the_staff_act_in_their_own_rooms(
    as_staff, layer, connect, alice, lobby, action
):
    other = Room.objects.create(name="other", access=Room.Access.AUTHENTICATED)
    browser = as_staff("view_connection")
    client = connect(alice, "lobby", "other")
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 403
    lobby.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    page = browser.get(f"{LIST}{action}/?user={alice.pk}")
    assert [name for name, _ in page.context["form"].fields["room"].choices] == ["lobby"]
    for room in ("other", "not-there", "orders/42"):
        assert confirm(browser, action, client, room=room).status_code == 403
    assert not layer.told
    assert not other.memberships.exists()
    assert confirm(browser, action, client).status_code == 302
    assert len(logged()) == 2


@pytest.mark.parametrize("action", ["mute", "remove"])
def test_a_moderator_who_stops_being_one_does_no_more(as_staff, connect, alice, lobby, action):
    browser = as_staff("view_connection")
    role = lobby.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    other = Room.objects.create(name="other", access=Room.Access.AUTHENTICATED)
    other.memberships.create(user=browser.user, role=Membership.Role.MODERATOR)
    client = connect(alice, "lobby", "other")
    assert browser.get(f"{LIST}{action}/?user={alice.pk}").status_code == 200
    role.delete()
    assert confirm(browser, action, client).status_code == 403
    assert not logged()


@pytest.mark.parametrize("action", ["mute", "remove"])
@pytest.mark.parametrize("room", ["", "not-there", "empty"])
def test_a_room_in_which_nobody_is_is_refused(admin_client, connect, alice, lobby, action, room):
    Room.objects.create(name="empty")
    response = confirm(admin_client, action, connect(alice, "lobby"), room=room)
    assert response.context["form"].errors["room"]
    assert not logged()


def test_nobody_is_muted_in_rooms_of_code_and_people_are_removed_from_them(
    admin_client, layer, connect, alice, monkeypatch
):
    monkeypatch.setattr(rooms, "_types", [])
    rooms.register("orders/<int:pk>")(rooms.RoomType)
    client = connect(alice, "orders/42")
    page = admin_client.get(f"{LIST}mute/?user={alice.pk}")
    assert "None of these connections is in a room for which you can do this." in text_of(page)
    assert confirm(admin_client, "mute", client, room="orders/42").status_code == 200
    response = confirm(admin_client, "remove", client, room="orders/42", how="role")
    assert said(response) == ["Removed from orders/42: alice."]
    assert layer.of_type(REMOVAL)[0]["room"] == "orders/42"
    assert [kind for _, kind, _, _ in logged()] == ["user"]


# The pages of users and rooms


def test_the_page_of_a_room_shows_who_is_there(admin_client, connect, alice, bob, lobby):
    connect(alice, "lobby")
    connect(alice, "lobby", process="web-2")
    connect(bob, "lobby")
    connect(None, "lobby")
    connect(User.objects.create_user("elsewhere"), "staff")
    page = admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/")
    shown = text_of(page)
    assert re.search(r"alice 2 .* seconds? ago", shown)
    assert "1 connection at which nobody is signed in" in shown
    html = page.content.decode()
    assert f'href="{LIST}?room=lobby"' in html
    back = f"next=%2Fadmin%2Frealtime%2Froom%2F{lobby.pk}%2Fchange%2F"
    assert f"{LIST}mute/?room=lobby&amp;user={alice.pk}&amp;{back}" in html
    assert ">elsewhere</a>" not in html


def test_the_page_of_a_user_shows_the_connections(admin_client, connect, alice, bob, lobby):
    connect(alice, "lobby", "orders/42", app="swift 9")
    connect(bob, "lobby", app="python 7")
    page = admin_client.get(f"/admin/auth/user/{alice.pk}/change/")
    assert "swift 9" in text_of(page)
    assert "python 7" not in text_of(page)
    html = page.content.decode()
    assert f'href="{LIST}?user={alice.pk}"' in html
    assert f"{EXPLAIN}?room=orders%2F42&amp;user=alice&amp;action=join" in html


def test_it_is_said_who_is_not_there(admin_client, layer, alice, lobby):
    assert "Not connected now." in text_of(admin_client.get(f"/admin/auth/user/{alice.pk}/change/"))
    page = admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/")
    assert "Nobody is in the room now." in text_of(page)
    assert f"{LIST}disconnect/" not in page.content.decode()


def test_an_admin_site_without_the_console_has_no_panel(admin_user, layer):
    class UserAdmin(LiveConnectionsMixin, admin.ModelAdmin):
        pass

    request = RequestFactory().get("/")
    request.user = admin_user
    model_admin = UserAdmin(User, admin.AdminSite("another"))
    shown = [
        name for _, it in model_admin.get_fieldsets(request, admin_user) for name in it["fields"]
    ]
    assert "live_connections" not in shown


def test_many_people_are_shortened(admin_client, connect, lobby):
    for number in range(60):
        connect(User.objects.create_user(f"user-{number:02}"), "lobby")
    shown = text_of(admin_client.get(f"/admin/realtime/room/{lobby.pk}/change/"))
    assert "user-49" in shown
    assert "user-50" not in shown
    assert "10 more people" in shown


def test_who_may_not_see_connections_sees_the_pages_without_them(
    as_staff, layer, connect, alice, lobby
):
    connect(alice, "lobby")
    browser = as_staff("view_user", "view_room")
    for address in (
        f"/admin/auth/user/{alice.pk}/change/",
        f"/admin/realtime/room/{lobby.pk}/change/",
    ):
        assert "203.0.113.7" not in text_of(browser.get(address))
        assert "In the room now" not in text_of(browser.get(address))
    assert not layer.reads


def test_a_room_is_saved_with_the_panel_on_its_page(admin_client, connect, alice, lobby):
    connect(alice, "lobby")
    address = f"/admin/realtime/room/{lobby.pk}/change/"
    form = admin_client.get(address).context["adminform"].form
    data = {key: form[key].value() or "" for key in form.fields} | {"title": "New", "groups": []}
    data |= {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert admin_client.post(address, data).status_code == 302
    lobby.refresh_from_db()
    assert lobby.title == "New"
    refused = admin_client.post(address, data | {"name": "a b"})
    assert "alice" in text_of(refused)
    assert f'href="{EXPLAIN}?room=lobby"' in refused.content.decode()


def test_the_mixin_works_where_an_admin_says_nothing_of_fields(admin_user, layer):
    class PlainAdmin(LiveConnectionsMixin, admin.ModelAdmin):
        pass

    model_admin = PlainAdmin(User, admin.site)
    request = RequestFactory().get("/")
    request.user = admin_user
    fieldsets = model_admin.get_fieldsets(request, admin_user)
    names = [name for _, options in fieldsets for name in options["fields"]]
    assert names.count("live_connections") == 1
    assert "live_connections" in model_admin.get_readonly_fields(request, admin_user)
    adding = [name for _, it in model_admin.get_fieldsets(request) for name in it["fields"]]
    assert "live_connections" not in adding


# Explain


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
    assert "who is not signed in may not join lobby" in text_of(explain(browser))


def test_an_explanation_is_given_of_rooms_that_are_not_there(as_staff, alice):
    shown = text_of(explain(as_staff("view_room"), user="alice", room="lobyb"))
    assert "alice may not join lobyb: there is no such room" in shown


@pytest.mark.parametrize(
    ("field", "value"),
    [("user", "nobody"), ("user", "9" * 99), ("user", "a\0"), ("action", "dance"), ("room", "")],
)
def test_what_can_not_be_explained_is_said_in_the_form(as_staff, alice, lobby, field, value):
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
