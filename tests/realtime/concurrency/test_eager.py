"""Coroutines run at once until they wait; the rest is awaited like any other."""

import asyncio

import pytest

from realtime.concurrency import eager


async def test_a_coroutine_that_never_waits_finishes_at_once():
    done = []

    async def work():
        done.append(True)

    assert eager.start(work()) is None
    assert done == [True]


async def test_a_coroutine_that_waits_finishes_when_the_rest_is_awaited():
    steps, gate = [], asyncio.Event()

    async def work():
        steps.append("begun")
        await gate.wait()
        await asyncio.sleep(0)
        steps.append("done")

    rest = eager.start(work())
    assert steps == ["begun"]
    asyncio.get_running_loop().call_soon(gate.set)
    await rest
    assert steps == ["begun", "done"]


async def test_an_error_is_raised_before_and_after_the_wait():
    async def work(wait):
        if wait:
            await asyncio.sleep(0)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        eager.start(work(wait=False))
    rest = eager.start(work(wait=True))
    with pytest.raises(ConnectionResetError):
        await rest


async def test_a_cancellation_reaches_the_waiting_coroutine():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    rest = eager.start(work())
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_other_awaitables_work_too():
    future = asyncio.get_running_loop().create_future()
    rest = eager.start(future)
    assert rest is not None
    future.set_result(None)
    await rest
    assert eager.start(future) is None
