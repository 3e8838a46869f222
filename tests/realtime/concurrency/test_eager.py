"""Coroutines run at once as far as they can, and the rest of them like any other."""

import asyncio

import pytest

from realtime.concurrency import eager


async def test_what_waits_for_nothing_is_done_at_once():
    done = []

    async def work():
        done.append(True)

    assert eager.start(work()) is None
    assert done == [True]


async def test_what_waits_is_done_when_the_rest_is_awaited():
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


async def test_an_error_comes_out_wherever_it_is_raised():
    async def work(wait):
        if wait:
            await asyncio.sleep(0)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        eager.start(work(wait=False))
    rest = eager.start(work(wait=True))
    with pytest.raises(ConnectionResetError):
        await rest


async def test_a_cancellation_reaches_what_waits():
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


async def test_what_is_no_coroutine_is_driven_too():
    future = asyncio.get_running_loop().create_future()
    rest = eager.start(future)
    assert rest is not None
    future.set_result(None)
    await rest
    assert eager.start(future) is None
