"""Pools of threads: shares, turns, time limits and lost threads."""

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading

import pytest

from realtime import sparse_log
from realtime.concurrency.pools import Pool, PoolBusy, TookTooLong

LONG = 30


class Blocked:
    """Calls that hang until `release`, and that say when they have begun."""

    def __init__(self):
        self.begun = []
        self._changed = threading.Condition()
        self._may_end = threading.Event()

    def call(self, name="", stays=True):
        with self._changed:
            self.begun.append(name)
            self._changed.notify_all()
        if stays:
            assert self._may_end.wait(LONG)
        return name

    def release(self):
        self._may_end.set()

    async def until_begun(self, number):
        def wait():
            with self._changed:
                return self._changed.wait_for(lambda: len(self.begun) >= number, LONG)

        assert await asyncio.to_thread(wait), self.begun


@pytest.fixture
def blocked():
    blocked = Blocked()
    yield blocked
    blocked.release()


def start(pool, call, **options):
    options = {"name": "a call", "seconds": LONG, "patience": LONG, **options}
    return asyncio.create_task(pool.run(call, **options))


async def until_returned(pool):
    async with asyncio.timeout(LONG):
        while pool.lost:
            await asyncio.sleep(0.01)


async def test_one_user_leaves_half_of_the_threads_to_others(blocked):
    pool = Pool("test", 4, replaced=0)
    mine = [start(pool, lambda: blocked.call("mine"), user="1") for _ in range(60)]
    await blocked.until_begun(2)
    theirs = [start(pool, lambda n=n: f"user {n}", user=str(n)) for n in range(2, 30)]
    assert await asyncio.gather(*theirs) == [f"user {n}" for n in range(2, 30)]
    assert blocked.begun == ["mine"] * 2
    blocked.release()
    assert await asyncio.gather(*mine) == ["mine"] * 60


async def test_one_hook_leaves_a_thread_to_others(blocked):
    pool = Pool("test", 4, replaced=0)
    slow = [start(pool, blocked.call, user=str(n), hook="slow") for n in range(60)]
    await blocked.until_begun(3)
    assert await start(pool, lambda: "done", user="1", hook="quick") == "done"
    assert len(blocked.begun) == 3
    blocked.release()
    await asyncio.gather(*slow)


async def test_users_take_turns(blocked):
    pool = Pool("test", 1, replaced=0)
    first = start(pool, blocked.call, user="0")
    await blocked.until_begun(1)
    asked = ["1", "1", "1", "2", "3", "3"]
    tasks = [
        start(pool, lambda user=user: blocked.call(user, stays=False), user=user) for user in asked
    ]
    await asyncio.sleep(0)
    blocked.release()
    await asyncio.gather(first, *tasks)
    assert blocked.begun[1:] == ["1", "2", "3", "1", "3", "1"]


async def test_calls_without_a_user_use_all_threads(blocked):
    pool = Pool("test", 4, replaced=0)
    tasks = [start(pool, blocked.call) for _ in range(4)]
    await blocked.until_begun(4)
    blocked.release()
    await asyncio.gather(*tasks)


async def test_lost_threads_are_replaced_and_named_in_the_log_once_a_minute(blocked, caplog):
    pool = Pool("test", 2, replaced=2)
    lost = [start(pool, blocked.call, name="shop.Orders.can_join", seconds=0.05) for _ in "12"]
    for task in lost:
        with pytest.raises(TookTooLong, match="can_join took more than") as raised:
            await task
        assert not raised.value.in_database
    assert pool.lost == 2
    assert await start(pool, lambda: "works") == "works"
    assert len(caplog.records) == 1
    assert "shop.Orders.can_join has not returned after 0.05 s" in caplog.text
    blocked.release()
    await until_returned(pool)
    assert await start(pool, lambda: "works") == "works"


async def test_the_number_of_replacements_is_bounded(blocked, caplog):
    pool = Pool("test", 2, replaced=1)
    tasks = [start(pool, blocked.call, seconds=0.05, patience=0.2) for _ in range(6)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert len(blocked.begun) == pool.lost == 3
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds.count(TookTooLong) == kinds.count(PoolBusy) == 3
    blocked.release()
    await until_returned(pool)
    assert await asyncio.gather(*(start(pool, lambda: 1) for _ in range(10))) == [1] * 10
    assert pool._threads == 2


@pytest.mark.parametrize("share", ["user", "hook"])
async def test_what_loses_many_threads_gets_no_more_until_one_returns(blocked, share, caplog):
    pool = Pool("test", 2, replaced=8)
    for _ in range(2):
        with pytest.raises(TookTooLong):
            await start(pool, blocked.call, seconds=0.5, **{share: "bad"})
    with pytest.raises(PoolBusy):
        await start(pool, lambda: 1, patience=0.05, **{share: "bad"})
    assert await start(pool, lambda: "works", **{share: "good"}) == "works"
    waits = start(pool, lambda: "works again", **{share: "bad"})
    await asyncio.sleep(0)
    blocked.release()
    assert await waits == "works again"


async def test_the_time_limit_begins_with_the_call_not_in_the_queue(blocked):
    pool = Pool("test", 1, replaced=0)
    first = start(pool, blocked.call)
    await blocked.until_begun(1)
    # It would be late at once, if waiting counted.
    waiting = start(pool, lambda: "in time", seconds=0.2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.3)
    blocked.release()
    assert await waiting == "in time"
    await first


async def test_a_call_that_waited_has_a_limit_too(blocked, caplog):
    pool = Pool("test", 1, replaced=1)
    first = start(pool, lambda: blocked.call("first"), seconds=0.1)
    second = start(pool, lambda: blocked.call("second"), seconds=0.1, patience=None)
    for task in (first, second):
        with pytest.raises(TookTooLong):
            await task
    assert pool.lost == 2


async def test_a_call_that_waits_is_dropped_when_its_caller_goes(blocked):
    pool = Pool("test", 1, replaced=0)
    first = start(pool, blocked.call)
    await blocked.until_begun(1)
    dropped = start(pool, lambda: blocked.call("dropped"), user="1", hook="h")
    await asyncio.sleep(0)
    dropped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dropped
    assert pool._waiting == {}
    blocked.release()
    await first
    assert await start(pool, lambda: 1) == 1
    assert blocked.begun == [""]


async def test_a_call_whose_caller_has_gone_is_still_watched(blocked, caplog):
    pool = Pool("test", 1, replaced=1)
    gone = start(pool, blocked.call, seconds=0.1)
    await blocked.until_begun(1)
    gone.cancel()
    assert await start(pool, lambda: "works") == "works"
    assert pool.lost == 1


async def test_a_timeout_error_of_the_call_itself_is_raised_as_it_is():
    pool = Pool("test", 1, replaced=0)

    def fail():
        raise TimeoutError("of a socket")

    with pytest.raises(TimeoutError, match="of a socket") as raised:
        await start(pool, fail)
    assert type(raised.value) is TimeoutError
    assert pool.lost == 0


async def test_context_variables_go_in_and_come_back():
    pool = Pool("test", 1, replaced=0)
    variable = contextvars.ContextVar("variable")
    variable.set("in")

    def call():
        seen = variable.get()
        variable.set("out")
        return seen

    options = {"name": "a call", "seconds": LONG, "patience": LONG}
    assert await pool.run(call, **options) == "in"
    assert variable.get() == "out"


async def test_the_log_counts_what_it_leaves_out(blocked, caplog, monkeypatch):
    now = 0.0
    monkeypatch.setattr(sparse_log.time, "monotonic", lambda: now)
    log = sparse_log.SparseLogs(logging.getLogger("test"))
    for _ in range(3):
        log.of("a").error("a is slow")
    log.of("b").error("b is slow")
    now = 60.0
    log.of("a").error("a is slow")
    assert [record.getMessage() for record in caplog.records] == [
        "a is slow",
        "b is slow",
        "a is slow (and 2 more since the last line)",
    ]


def test_threads_that_hang_do_not_keep_the_process_alive():
    code = (
        "import asyncio, threading\n"
        "from realtime.concurrency.pools import Pool, TookTooLong\n"
        "async def main():\n"
        "    pool = Pool('test', 2, replaced=2)\n"
        "    call = pool.run(threading.Event().wait, name='x', seconds=0.1, patience=1)\n"
        "    try:\n"
        "        await call\n"
        "    except TookTooLong:\n"
        "        print('late')\n"
        "asyncio.run(main())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "late\n"
