"""Where blocking code runs: each kind in a pool of its own."""

import asyncio
import threading

import pytest

from realtime.concurrency import threads
from realtime.concurrency.pools import TookTooLong
from realtime.exceptions import HookUnavailable

LONG = 30


@pytest.fixture(autouse=True)
def own_pools():
    """Pools that no other test uses."""
    threads._pools.start_afresh()
    yield
    threads._pools.start_afresh()


@pytest.fixture
def hang():
    """A function that hangs until the end of the test."""
    may_end = threading.Event()

    def hang(*args):
        may_end.wait(LONG)

    yield hang
    may_end.set()


def here(*args):
    return threading.current_thread().name


async def test_each_kind_of_code_has_threads_of_its_own():
    assert [
        await threads.run_in_thread(here),
        await threads.verify_in_thread(here),
        await threads.run_separately(here, user="1"),
        await threads.ask_rule(here, user="1", rule="r", patience=1),
        await threads.call_hook("1", here),
        await threads.fetch_in_thread(here),
    ] == [
        "realtime-look-ups",
        "realtime-tokens",
        "realtime-authenticators",
        "realtime-rules",
        "realtime-hooks",
        "realtime-keys",
    ]


async def test_rules_and_hooks_that_hang_leave_look_ups_and_tokens_alone(hang, settings, caplog):
    settings.REALTIME = {"RIGHTS_SECONDS": LONG}
    hanging = [
        asyncio.create_task(threads.ask_rule(hang, user=str(n), rule="r", patience=None))
        for n in range(60)
    ]
    hanging += [asyncio.create_task(threads.call_hook(str(n), hang)) for n in range(60)]
    await asyncio.sleep(0)
    async with asyncio.timeout(LONG / 2):
        await asyncio.gather(*(threads.run_in_thread(here) for _ in range(60)))
        await asyncio.gather(*(threads.verify_in_thread(here) for _ in range(60)))
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_a_hook_that_takes_too_long_is_given_up(hang, settings, caplog):
    settings.REALTIME = {"HOOK_SECONDS": 0.05}
    for _ in range(2):
        with pytest.raises(HookUnavailable) as raised:
            await threads.call_hook("1", hang)
        assert (raised.value.error.code, raised.value.error.temporary) == (100, True)
    assert len(caplog.records) == 1
    assert "test_threads.hang.<locals>.hang has not returned" in caplog.text


async def test_a_coroutine_that_takes_too_long_is_cancelled(settings, caplog):
    settings.REALTIME = {"HOOK_SECONDS": 0.05}
    ended = []

    async def hook():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    for _ in range(2):
        with pytest.raises(HookUnavailable):
            await threads.call_hook("1", hook)
    assert ended == [True, True]
    assert len(caplog.records) == 1


async def test_a_hook_that_raises_timeout_error_has_just_failed():
    def fail():
        raise TimeoutError("of a socket")

    async def afail():
        fail()

    for hook in (fail, afail):
        with pytest.raises(TimeoutError, match="of a socket"):
            await threads.call_hook("1", hook)


async def test_without_threads_of_its_own_all_runs_in_djangos_thread(settings):
    settings.REALTIME = {"DATABASE_THREADS": 0, "RIGHTS_SECONDS": LONG}
    used = {
        await threads.run_in_thread(threading.get_ident),
        await threads.call_hook("1", threading.get_ident),
        await threads.ask_rule(threading.get_ident, user="1", rule="r", patience=1),
    }
    assert len(used) == 1
    settings.REALTIME = {"DATABASE_THREADS": 0, "RIGHTS_SECONDS": 0.05}
    may_end = threading.Event()
    try:
        with pytest.raises(TookTooLong):
            await threads.run_in_thread(may_end.wait, LONG)
    finally:
        may_end.set()
