"""`manage.py realtime`: what it prints, and what it says when it can't."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from realtime.management.tables import table
from realtime.models import Membership, Room

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
        f"user            yes           alice, id {alice.pk}, may sign in",
        "name            yes           staff can be the name of a room",
        "room            yes           “Staff” in the database",
        "token's scopes  says nothing  no scopes, so nothing is narrowed",
        "superuser       says nothing  alice is not a superuser",
        "ModelBackend    says nothing  django.contrib.auth.backends.ModelBackend returned",
        "                              False",
        "RoomBackend     yes           realtime.rights.RoomBackend",
        "  membership    says nothing  alice has no role in staff",
        "  groups        yes           in the room's group Staff",
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
        "enter; role member, expired 2024-02-01 00:00 UTC, so it counts for nothing)."
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
    assert "\x1b[32;1myes         \x1b[0m" in lines[0]
    assert lines[-1].startswith("\x1b[32;1malice may join")


def test_what_a_terminal_would_obey_is_not_printed(run, staff):
    Room.objects.update(title="\x1b[2JStaff\nroom")
    lines = run("explain", "alice", "staff")
    assert "“\ufffd[2JStaff\ufffdroom” in the database" in lines[2]


def test_a_table_keeps_within_80_columns():
    rows = [("short", "x " * 60), ("longer", "no-break " * 20)]
    lines = list(table(rows))
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(" " * 8 + "x")
    assert len({line.index(word) for line, word in ((lines[0], "x"), (lines[2], "no-"))}) == 1


def test_publish_needs_a_layer_that_the_server_shares(run):
    with pytest.raises(CommandError, match="REDIS_URL"):
        run("publish", "lobby", "1")
