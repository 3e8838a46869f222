"""The list of live connections in the admin."""

import re
import time

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from realtime.admin import ConnectionAdmin
from realtime.models import Room
from tests.support.pages import (
    EXPLAIN,
    HOSTILE,
    LIST,
    NEEDS,
    confirm,
    layer_of_the_site,
    rows_of,
    said,
    text_of,
)

pytestmark = pytest.mark.django_db


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


def test_links_to_users_and_rooms_need_the_permission_to_see_them(as_staff, connect, alice, lobby):
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


def test_the_list_says_that_only_this_process_is_known(admin_client, connect):
    connect()
    assert "only the connections of this process are listed" in text_of(admin_client.get(LIST))


def test_the_list_says_that_nobody_is_connected(admin_client, layer):
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
    assert "object does not support rooms" in text_of(page)


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


def test_a_person_is_shown_by_the_label_and_found_by_each_name(admin_client, connect, alice, bob):
    hers = connect(alice, label="Alice Smith")
    connect(bob, label="Bob Miller")
    assert "Alice Smith" in text_of(admin_client.get(LIST))
    for words in ("smith", "alice", "Alice Smith"):
        assert rows_of(admin_client.get(LIST, {"q": words})) == [hers]
    answer = confirm(admin_client, "disconnect", hers)
    assert said(answer) == ["1 connection of Alice Smith was closed."]


def test_rights_are_explained_for_somebody_by_the_label(admin_client, connect, alice, bob, lobby):
    connect(alice, label="Alice Smith")
    asked = {"room": "lobby", "user": "Alice Smith", "action": "join"}
    assert "alice may join lobby" in text_of(admin_client.get(EXPLAIN, asked))
    connect(bob, label="Alice Smith")
    page = text_of(admin_client.get(EXPLAIN, asked))
    assert "Several users are called Alice Smith. Give an id." in page
