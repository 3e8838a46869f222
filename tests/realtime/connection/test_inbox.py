"""Commands run in order, and a client whose commands never wait has no task."""

import asyncio
import threading

import pytest

from realtime.codes import CloseCode
from realtime.concurrency.pools import Pool
from realtime.connection.inbox import MOST_UNREAD, MOST_UNREAD_CHARACTERS, Inbox


class FakeSession:
    """Each frame is done at once, but "wait", which is done when the gate opens."""

    def __init__(self):
        self.done = []
        self.gate = asyncio.Event()
        self.closed = None

    def receive(self, text):
        if text == "fail":
            raise RuntimeError("a mistake")
        if text == "wait":
            return self._wait()
        self.done.append(text)
        return None

    async def _wait(self):
        await self.gate.wait()
        self.done.append("waited")

    def fail(self):
        self.closed = CloseCode.INTERNAL


@pytest.fixture
async def session():
    return FakeSession()


@pytest.fixture
async def ends():
    return []


@pytest.fixture
async def inbox(session, ends):
    return Inbox(session, on_end=lambda: ends.append("ended"))


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_command_that_does_not_wait_needs_no_task(session, inbox):
    tasks = asyncio.all_tasks()
    inbox.receive("a")
    inbox.receive(b"")
    assert session.done == ["a", b""]
    assert asyncio.all_tasks() == tasks


async def test_frames_that_come_during_a_command_wait_for_their_turn(session, inbox):
    for text in ("wait", "a", "wait", "b"):
        inbox.receive(text)
    await settle()
    assert session.done == []
    session.gate.set()
    await settle()
    assert session.done == ["waited", "a", "waited", "b"]
    inbox.receive("c")
    assert session.done[-1] == "c"


async def test_the_first_step_comes_before_all_frames(session, inbox):
    inbox.begin(session._wait)
    inbox.receive("a")
    session.gate.set()
    await settle()
    assert session.done == ["waited", "a"]


async def test_the_inbox_reports_when_it_is_full_and_when_there_is_room_again(session, inbox):
    told = []
    inbox.on_room = lambda: told.append(inbox.is_full)
    inbox.receive("wait")
    for number in range(MOST_UNREAD):
        assert not inbox.is_full
        inbox.receive(str(number))
    assert inbox.is_full
    session.gate.set()
    await settle()
    assert told == [False]
    assert not inbox.is_full


async def test_the_inbox_stays_full_until_less_waits_than_is_allowed(session, inbox):
    told = []
    inbox.on_room = lambda: told.append(inbox.is_full)
    inbox.receive("wait")
    for number in range(MOST_UNREAD + 5):  # what had been read already
        inbox.receive(str(number))
    session.gate.set()
    await settle()
    assert told == [False]


async def test_the_end_does_not_wait_for_the_command_that_is_under_way(session, inbox, ends):
    inbox.receive("wait")
    inbox.receive("behind it")
    inbox.end()
    inbox.end()
    assert ends == ["ended"]
    session.gate.set()
    await settle()
    assert session.done == ["waited"], "it is finished, and what is behind it is dropped"
    assert ends == ["ended"] * 2, "the command may have left something behind"


async def test_a_command_that_waits_for_a_thread_is_dropped_at_the_end(ends):
    pool, may_end, calls = Pool("test", 1, replaced=0), threading.Event(), []
    options = {"name": "a call", "seconds": 30, "patience": 30}
    first = asyncio.create_task(pool.run(lambda: may_end.wait(30), **options))
    await asyncio.sleep(0)

    class Session(FakeSession):
        async def _wait(self):
            await pool.run(lambda: calls.append(1), **options)

    inbox = Inbox(Session(), on_end=lambda: ends.append("ended"))
    inbox.receive("wait")
    await settle()
    inbox.end()
    await settle()
    assert pool._waiting == {} and ends == ["ended"] * 2
    may_end.set()
    await first
    await pool.run(lambda: None, **options)
    assert calls == []


async def test_a_command_that_takes_too_long_is_given_up(session, inbox, ends):
    inbox.receive("wait")
    await settle()
    inbox.give_up()
    inbox.end()
    await settle()
    assert ends == ["ended"] * 2
    assert session.done == []


async def test_a_client_that_asks_for_nothing_ends_at_once(inbox, ends):
    inbox.end()
    inbox.end()
    assert ends == ["ended"]


async def test_a_mistake_of_ours_closes_and_is_logged(session, inbox, caplog):
    inbox.receive("fail")
    assert session.closed is CloseCode.INTERNAL
    session.closed = None
    inbox.receive("wait")
    inbox.receive("fail")
    session.gate.set()
    await settle()
    assert session.closed is CloseCode.INTERNAL
    assert len(caplog.records) == 2


async def test_the_inbox_is_full_also_by_the_size_of_what_waits(session, inbox):
    told = []
    inbox.on_room = lambda: told.append(inbox.is_full)
    inbox.receive("wait")
    inbox.receive("x" * MOST_UNREAD_CHARACTERS)
    assert inbox.is_full
    inbox.receive("y")
    session.gate.set()
    await settle()
    assert told == [False]
    inbox.receive("wait")
    inbox.receive("x" * (MOST_UNREAD_CHARACTERS - 1))
    assert not inbox.is_full
