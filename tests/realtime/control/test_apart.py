"""Rules of the site that fail or hang concern their own room, and nobody in another one.

Long, because it mirrors one module.
"""

import asyncio
import threading

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from realtime import rooms
from realtime.authentication import Identity, identity
from realtime.changes import changes
from realtime.concurrency import threads
from realtime.control import apart
from realtime.models import Membership, Room
from realtime.rights import grants
from realtime.rights.grants import Question
from realtime.rooms import room_types
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 30


class Rule:
    """What `can_join` of the rooms `desk/…` does; each call is counted."""

    def __init__(self):
        self.answer = lambda: True
        self.asked = 0
        self.may_end = threading.Event()

    def fail(self):
        raise OperationalError("the second database is down")

    def hang(self):
        self.may_end.wait(LONG)
        return True

    def wait_for_database(self):
        """Wait in a query, as for a lock."""
        connection.cursor()
        connection.connection.create_function("wait", 0, lambda: self.may_end.wait(LONG))
        with connection.cursor() as cursor:
            cursor.execute("SELECT wait()")
        return True


@pytest.fixture(autouse=True)
def own_pools():
    """Pools that no other test uses."""
    threads._pools.start_afresh()
    yield
    threads._pools.start_afresh()


@pytest.fixture
def rule(monkeypatch):
    rule = Rule()
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(apart, "FIRST_PAUSE_SECONDS", 0.05)

    @rooms.register("desk/<int:number>")
    class Desk(rooms.RoomType):
        def can_join(self, user, number):
            rule.asked += 1
            return rule.answer()

    @rooms.register("hall")
    class Hall(rooms.RoomType):
        def can_join(self, user):
            return True

    yield rule
    rule.may_end.set()


@pytest.fixture
async def enter(node, open_session):
    await node.control.hear()

    async def _enter(user, *names):
        session = open_session(Identity(user, version=changes.version))
        await call(session, connect={})
        for name in names:
            assert "subscribe" in await call(session, subscribe={"channel": name})
        return session

    return _enter


@pytest.fixture
async def bob():
    return await User.objects.acreate(username="bob")


@pytest.fixture
async def club(bob):
    room = await Room.objects.acreate(name="club")
    await Membership.objects.acreate(room=room, user=bob)
    return room


def left(frame):
    return "unsubscribe" in frame.get("push", {})


async def until(condition):
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.01)


def unsubscribed(session):
    return [frame for frame in session.transport.frames if left(frame)]


async def test_others_are_revoked_while_the_database_of_a_rule_is_down(
    rule, enter, alice, bob, club, node, caplog
):
    mine, other = await enter(alice, "desk/1"), await enter(bob, "club", "hall")
    rule.answer = rule.fail
    asked = rule.asked
    node.reviewer.on_gap()
    await Membership.objects.filter(user=bob).adelete()
    await other.transport.until(left)
    # It is asked again and again, and stays as it was.
    await until(lambda: rule.asked >= asked + 3)
    assert set(mine.rooms) == {"desk/1"} and set(other.rooms) == {"hall"}
    assert unsubscribed(mine) == []
    rule.answer = lambda: False
    await mine.transport.until(left)
    assert mine.transport.closed is None


async def test_the_pauses_grow(rule, enter, alice, node, monkeypatch, caplog):
    monkeypatch.setattr(apart, "LONGEST_PAUSE_SECONDS", 0.2)
    session = await enter(alice, "desk/1")
    reviews = node.reviewer._apart
    pauses = []

    def note(seconds, callback):
        pauses.append(seconds)
        asyncio.get_running_loop().call_soon(callback)

    monkeypatch.setattr(reviews._delayed, "call_later", note)
    rule.answer = rule.fail
    node.reviewer.on_gap()
    await until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.2]
    rule.answer = lambda: True
    await until(lambda: not reviews._pauses and not reviews._running)
    assert set(session.rooms) == {"desk/1"}


async def test_a_rule_that_hangs_ends_only_its_own_room(
    rule, enter, alice, bob, club, node, settings, caplog
):
    mine = await enter(alice, "desk/1", "hall")
    other = await enter(bob, "club", "hall")
    settings.REALTIME = {"RIGHTS_SECONDS": 0.2}
    rule.answer = rule.hang
    node.reviewer.on_gap()
    push = await mine.transport.until(left)
    assert push["push"]["channel"] == "desk/1"
    settings.REALTIME = {}
    await Membership.objects.filter(user=bob).adelete()
    await other.transport.until(left)
    assert set(mine.rooms) == set(other.rooms) == {"hall"}


async def test_revocations_do_not_wait_for_a_rule_that_hangs(
    rule, enter, alice, bob, club, node, settings
):
    await enter(alice, "desk/1", "desk/2", "desk/3")
    other = await enter(bob, "club")
    settings.REALTIME = {"RIGHTS_SECONDS": LONG}
    rule.answer = rule.hang
    node.reviewer.on_gap()
    await Membership.objects.filter(user=bob).adelete()
    async with asyncio.timeout(LONG / 2):
        await other.transport.until(left)


async def test_a_rule_that_waits_for_the_database_is_temporary(
    rule, enter, alice, node, settings, caplog
):
    session = await enter(alice, "desk/1")
    settings.REALTIME = {"RIGHTS_SECONDS": 0.2}
    rule.answer = rule.wait_for_database
    error = (await call(session, subscribe={"channel": "desk/2"}))["error"]
    assert (error["code"], error["temporary"]) == (100, True)
    node.reviewer.on_gap()
    await until(lambda: node.reviewer._apart._pauses)
    assert set(session.rooms) == {"desk/1"} and unsubscribed(session) == []


async def test_waiting_for_a_thread_is_no_answer(rule, enter, alice, bob, settings):
    settings.REALTIME = {"RIGHTS_SECONDS": LONG, "HOOK_THREADS": 1}
    rule.answer = rule.hang
    first, second = await enter(alice), await enter(bob)
    joining = asyncio.create_task(call(first, subscribe={"channel": "desk/1"}))
    await until(lambda: rule.asked)
    settings.REALTIME = {"RIGHTS_SECONDS": 0.1, "HOOK_THREADS": 1}
    error = (await call(second, subscribe={"channel": "desk/2"}))["error"]
    assert (error["code"], error["temporary"]) == (100, True)
    rule.may_end.set()
    assert "subscribe" in await joining


async def test_a_look_up_that_hangs_changes_nothing(
    rule, enter, alice, bob, club, node, settings, monkeypatch, caplog
):
    sessions = [await enter(alice, "desk/1"), await enter(bob, "club")]
    settings.REALTIME = {"RIGHTS_SECONDS": 0.1}
    hanging = []

    def hang(questions):
        hanging.append(questions)
        rule.may_end.wait(LONG)

    with monkeypatch.context() as patch:
        patch.setattr(grants, "answer_all", hang)
        node.reviewer.on_gap()
        await until(lambda: len(hanging) >= 2)
        assert [set(session.rooms) for session in sessions] == [{"desk/1"}, {"club"}]
        assert not any(map(unsubscribed, sessions))
    settings.REALTIME = {}
    rule.may_end.set()
    await Membership.objects.filter(user=bob).adelete()
    await sessions[1].transport.until(left)


async def test_a_question_has_one_outcome_for_each_room(rule, alice, club, node):
    await node.control.hear()
    asked = [Question(Identity(alice), ["club", "desk/1", "hall", "missing"])]
    (answer,) = await grants.review(asked)
    assert {name: grant.actions for name, grant in answer.grants.items()} == {
        "club": frozenset(),
        "missing": frozenset(),
    }
    assert set(answer.apart) == {"desk/1", "hall"}
    assert rule.asked == 0


async def test_one_line_a_minute_names_the_rule_that_refuses(rule, enter, alice, caplog):
    def broken():
        raise KeyError("no such desk")

    rule.answer = broken
    session = await enter(alice)
    for number in range(20):
        reply = await call(session, subscribe={"channel": f"desk/{number}"})
        assert reply["error"]["code"] == 103
    # The refusals themselves are lines of another log.
    lines = [each.getMessage() for each in caplog.records if each.name != "realtime.refusals"]
    (line,) = lines
    assert "Desk.can_join raised; denied" in line


async def test_the_rule_of_one_user_does_not_delay_the_others(
    enter, alice, bob, club, node, settings, monkeypatch, caplog
):
    may_end = threading.Event()

    def is_active(user):
        return user.username != "alice" or may_end.wait(LONG)

    session, other = await enter(alice), await enter(bob, "club")
    monkeypatch.setattr(identity.api_settings, "USER_AUTHENTICATION_RULE", is_active)
    settings.REALTIME = {"RIGHTS_SECONDS": LONG}
    node.reviewer.on_gap()
    await Membership.objects.filter(user=bob).adelete()
    async with asyncio.timeout(LONG / 2):
        await other.transport.until(left)
    assert session.transport.closed is None
    may_end.set()
    await until(lambda: not node.reviewer._apart._running)
    assert session.transport.closed is None


async def test_the_sites_rule_about_users_closes(enter, alice, bob, node, monkeypatch, caplog):
    def is_active(user):
        if user.username == "alice":
            raise KeyError("no profile")
        return True

    session, other = await enter(alice), await enter(bob)
    monkeypatch.setattr(identity.api_settings, "USER_AUTHENTICATION_RULE", is_active)
    node.reviewer.on_gap()
    assert await session.transport.until_closed() == 3500
    assert other.transport.closed is None


async def test_a_connection_that_ends_asks_no_more(rule, enter, alice, node, settings):
    settings.REALTIME = {"RIGHTS_SECONDS": LONG, "HOOK_THREADS": 1}
    session = await enter(alice, "desk/1", "desk/2")
    rule.answer = rule.hang
    asked = rule.asked
    node.reviewer.on_gap()
    await until(lambda: rule.asked > asked)
    session.end()
    assert node.reviewer._apart._running == {}
    pool = threads._pools.get("rules", 1, threads.LOST_PER_THREAD)
    await until(lambda: not pool._waiting)
    rule.may_end.set()
    await threads.ask_rule(threading.get_ident, user="x", rule="r", patience=None)
    assert rule.asked == asked + 2, "the rule is asked to join and to publish"
