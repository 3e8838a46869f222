"""`manage.py realtime`: what it prints, and what it says when it can't.

Long, because it mirrors one command.
"""

import json
import uuid
from datetime import UTC, datetime
from io import StringIO

import msgspec
import pytest
from asgiref.sync import async_to_sync
from channels.layers import channel_layers
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command, load_command_class
from django.db import connection as database

from realtime import rooms
from realtime.layers.records import Connection, Process
from realtime.layers.redis import RedisRoomLayer
from realtime.management.tables import table
from realtime.models import Membership, Room
from realtime.rooms import room_types

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    """`run("explain", "alice", "lobby")`: what is printed, line by line."""

    def _run(*args, **options):
        printed = StringIO()
        call_command("realtime", *args, stdout=printed, no_color=True, **options)
        return printed.getvalue().splitlines()

    return _run


@pytest.fixture
def staff(alice):
    room = Room.objects.create(name="staff", title="Staff")
    group = Group.objects.create(name="Staff")
    room.groups.add(group)
    alice.groups.add(group)
    return room


def test_explain_prints_a_table_and_the_outcome_as_a_sentence(run, alice, staff):
    assert run("explain", "alice", "staff") == [
        f"user            yes          alice, id {alice.pk}, may sign in",
        "name            yes          staff can be the name of a room",
        "room            yes          “Staff” in the database",
        "token's scopes  no decision  no scopes, so no limits",
        "superuser       no decision  alice is not a superuser",
        "ModelBackend    no decision  django.contrib.auth.backends.ModelBackend returned",
        "                             False",
        "RoomBackend     yes          realtime.rights.RoomBackend, asked last",
        "  membership    no decision  alice has no role in staff",
        "  groups        yes          in the room's group Staff",
        "  access        not asked",
        "  publishing    not asked",
        "  all rooms     not asked",
        "",
        "alice may join staff: in the room's group Staff.",
    ]


def test_explain_says_why_not(run, staff):
    bob = User.objects.create(username="bob")
    ends = datetime(2024, 2, 1, tzinfo=UTC)
    Membership.objects.create(room=staff, user=bob, expires_at=ends)
    assert run("explain", "bob", "staff", "publish")[-1] == (
        "bob may not publish in staff: no right to join (only members and the room's groups may "
        "enter; role member, expired 2024-02-01 00:00 UTC, so it has no effect)."
    )


def test_explain_takes_the_scopes_of_a_token(run, staff):
    assert run("explain", "alice", "staff", "--scope", "realtime:join:lobby")[-1] == (
        "alice may not join staff: the token has neither realtime:join nor realtime:join:staff."
    )


def test_explain_prints_json(run, staff):
    printed = json.loads("\n".join(run("explain", "alice", "staff", "--json")))
    assert printed["allowed"] is True
    assert printed["sentence"] == "alice may join staff: in the room's group Staff."
    assert printed["rules"][2] == {
        "name": "room",
        "verdict": "yes",
        "source": "“Staff” in the database",
        "part_of": "",
    }


def test_a_user_is_found_by_name_and_else_by_key(run, alice, staff):
    assert run("explain", str(alice.pk), "staff")[-1].startswith("alice may")
    namesake = User.objects.create(username=str(alice.pk))
    assert run("explain", str(alice.pk), "staff")[0].endswith(f"id {namesake.pk}, may sign in")


@pytest.mark.parametrize(
    ("user", "hint"),
    [
        ("alcie", "Did you mean alice?"),
        ("lice", "Did you mean alice?"),
        ("nobody-like-this", "Give a username or a primary key."),
        ("9" * 40, "Give a username or a primary key."),
    ],
)
def test_a_user_who_is_not_there_is_told_with_the_nearest_name(run, alice, user, hint):
    with pytest.raises(CommandError) as told:
        run("explain", user, "lobby")
    assert str(told.value) == f"There is no user {user}. {hint}"


def test_the_verdicts_have_colours(alice, staff):
    printed = StringIO()
    call_command("realtime", "explain", "alice", "staff", stdout=printed, force_color=True)
    lines = printed.getvalue().splitlines()
    assert "\x1b[32;1myes        \x1b[0m" in lines[0]
    assert lines[-1].startswith("\x1b[32;1malice may join")


def test_control_characters_are_not_printed(run, staff):
    Room.objects.update(title="\x1b[2JStaff\nroom")
    lines = run("explain", "alice", "staff")
    assert "“\ufffd[2JStaff\ufffdroom” in the database" in lines[2]


def test_a_table_keeps_within_80_columns():
    rows = [("short", "x " * 60), ("longer", "no-break " * 20)]
    lines = list(table(rows))
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(" " * 8 + "x")
    assert len({line.index(word) for line, word in ((lines[0], "x"), (lines[2], "no-"))}) == 1


@pytest.mark.parametrize(
    "command", [("publish", "lobby", "1"), ("status",), ("disconnect", "--user", "alice")]
)
def test_commands_for_servers_need_a_shared_layer(run, alice, command):
    with pytest.raises(
        CommandError,
        match=r'Set CHANNEL_LAYERS\["default"\]\["BACKEND"\] to "realtime.layers.redis',
    ):
        run(*command)


@pytest.fixture
def shared_layer(redis_server):
    layer = RedisRoomLayer(hosts=[redis_server], prefix=f"test-{uuid.uuid4().hex[:8]}")
    before = channel_layers.set("default", layer)
    yield layer
    channel_layers.backends = {} if before is None else {"default": before}


@pytest.fixture
def publish(run, shared_layer, django_capture_on_commit_callbacks):
    """`publish("lobby")`: what is printed, and the warning."""

    def _publish(room):
        warned = StringIO()
        with django_capture_on_commit_callbacks(execute=True):
            printed = run("publish", room, '{"text": "hello"}', stderr=warned)
        return printed, warned.getvalue().strip()

    return _publish


def test_publishing_says_how_many_connections_are_in_the_room(
    publish, lobby, shared_layer, monkeypatch
):
    monkeypatch.setattr(room_types, "_types", [])
    rooms.register("orders/<int:pk>")(rooms.RoomType)
    for room in ("lobby", "orders/42"):
        printed, warned = publish(room)
        assert (printed, warned) == (
            [f"Published to {room}."],
            f"Nobody is in the room {room} now.",
        )
    list_connections(shared_layer, connection(), connection(), connection(rooms=["orders/42"]))
    assert publish("lobby") == (["Published to lobby. 2 connections in the room."], "")
    assert publish("orders/42") == (["Published to orders/42. 1 connection in the room."], "")


def test_publishing_to_an_archived_room_warns(publish):
    Room.objects.create(name="attic", archived=True)
    assert publish("attic")[1] == "The room attic is archived: nobody has received this message."


def test_publishing_to_a_room_that_is_not_there_fails_with_the_nearest_name(publish, lobby):
    with pytest.raises(CommandError, match="Did you mean lobby"):
        publish("loby")


def list_connections(layer, *connections):
    """Write connections as a server process does that is killed afterwards."""
    about = Process(id="p", host="box", pid=7, server="daphne", started_at=0, version="1")
    rows = {connection.client: msgspec.json.encode(connection) for connection in connections}

    async def write():
        await layer.beat("p", msgspec.json.encode(about), 60)
        await layer.write_connections("p", rows, {}, 60)

    async_to_sync(write)()


def connection(**changes):
    known = {"user": "1", "username": "alice", "since": 0, "address": "127.0.0.1", "app": ""}
    known |= {"protocol": "centrifuge", "sign_in": "", "expires_at": None, "rooms": ["lobby"]}
    known |= {"client": str(uuid.uuid4()), "unsent_bytes": 0, "process": "p"}
    return Connection(**{**known, **changes})


def test_status_shows_fifty_connections_and_tells_how_many_more(run, shared_layer):
    list_connections(
        shared_layer,
        *(connection(since=since) for since in range(60)),
        connection(user="", username="", rooms=[], since=99, app="swift 1.0"),
    )
    lines = run("status")
    assert lines[1].split() == ["1", "box", "7", "daphne", "61", "1970-01-01", "00:00:00"]
    assert lines[2] == "1 process, 61 connections of 1 user, 1 not signed in."
    assert lines[5].startswith("1970-01-01 00:01:39  1        ")
    assert lines[6] == " " * 30 + "not signed in, 127.0.0.1, swift 1.0; in no room"
    assert len(lines) == 4 + 1 + 2 * 50 + 1
    assert lines[-1] == "11 more: narrow with --user or --room, or see all by --json."
    listed = json.loads("\n".join(run("status", "--json")))
    assert len(listed["connections"]) == 61


def test_status_of_one_user(run, shared_layer, alice):
    User.objects.create(username="bob")
    list_connections(shared_layer, connection(user=str(alice.pk)))
    assert len(run("status", "--user", "alice")) == 7
    assert run("status", "--user", "bob")[-1] == "1 process, 1 connection of 1 user."


def test_status_when_nothing_serves(run, shared_layer):
    assert run("status") == ["No process serves connections."]


def test_disconnect_needs_somebody_to_be_named(run, shared_layer):
    with pytest.raises(CommandError, match="Say who: --user NAME, --client ID or --session SID"):
        run("disconnect", "--reason", "maintenance")


def test_disconnect_tells_what_is_still_listed(run, shared_layer, monkeypatch):
    monkeypatch.setattr("realtime.management.commands.realtime.GONE_SECONDS", 0.05)
    gone, other = connection(), connection()
    list_connections(shared_layer, gone, other)
    with pytest.raises(CommandError, match="1 connection found, and 1 still listed"):
        run("disconnect", "--client", gone.client)


def test_a_redis_that_is_away_is_told_in_a_sentence(run, unused_port):
    layer = RedisRoomLayer(hosts=[f"redis://127.0.0.1:{unused_port}"])
    before = channel_layers.set("default", layer)
    try:
        with pytest.raises(CommandError, match="Redis does not answer"):
            run("status")
    finally:
        channel_layers.backends = {} if before is None else {"default": before}


def full_name(user):
    return f"{user.first_name} Smith"


def test_users_are_called_and_found_as_the_site_calls_them(
    run, shared_layer, alice, staff, settings, monkeypatch
):
    monkeypatch.setattr("realtime.management.commands.realtime.GONE_SECONDS", 0.05)
    settings.REALTIME = {"USER_LABEL": f"{__name__}.full_name"}
    alice.first_name = "Alice"
    alice.save()
    list_connections(shared_layer, connection(user=str(alice.pk), label="Alice Smith"))
    assert run("explain", "Alice Smith", "staff")[-1].startswith("Alice Smith may join staff")
    assert "Alice Smith, 127.0.0.1; in lobby" in run("status", "--user", "Alice Smith")[-1]
    with pytest.raises(CommandError, match="1 connection found, and 1 still listed"):
        run("disconnect", "--user", "Alice Smith")


def test_a_name_of_two_users_is_refused(run, shared_layer, alice, staff):
    bob = User.objects.create(username="bob")
    for user in (alice, bob):
        list_connections(shared_layer, connection(user=str(user.pk), label="The Smiths"))
    with pytest.raises(CommandError, match="Several users are called The Smiths"):
        run("disconnect", "--user", "The Smiths")


@pytest.mark.skipif(database.vendor == "mysql", reason="two such users can't exist there")
def test_the_case_of_a_username_matters_only_if_two_users_differ_in_it(run, alice, staff):
    assert run("explain", "ALICE", "staff")[-1].startswith("alice may")
    User.objects.create(username="ALICE")
    assert run("explain", "ALICE", "staff")[-1].startswith("ALICE may not")
    with pytest.raises(CommandError, match="Several users are called Alice"):
        run("explain", "Alice", "staff")


def test_the_options_of_django_are_taken_behind_the_subcommand_and_before():
    parser = load_command_class("realtime", "realtime").create_parser("manage.py", "realtime")
    behind = parser.parse_args(["status", "--settings", "a.b", "-v", "2", "--skip-checks"])
    before = parser.parse_args(["--settings", "a.b", "-v", "2", "--skip-checks", "status"])
    assert behind == before
    assert (behind.settings, behind.verbosity, behind.skip_checks) == ("a.b", 2, True)
