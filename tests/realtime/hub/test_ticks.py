"""Callbacks run in the next tick, after the fan-outs of that tick."""

import asyncio
import time

from realtime.hub.ticks import TickQueue


async def test_callbacks_run_after_the_current_tick():
    done, ticks, loop = [], TickQueue(), asyncio.get_running_loop()
    ticks.then(lambda: done.append("late"))
    ticks.then(lambda: done.append("later"))
    loop.call_soon(done.append, "handed out")
    await asyncio.sleep(0)
    assert done == ["handed out"]
    await asyncio.sleep(0)
    assert done == ["handed out", "late", "later"]


async def test_each_is_called_once():
    done, ticks = [], TickQueue()
    for number in range(2):
        ticks.then(lambda number=number: done.append(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert done == [0, 1]


async def test_one_that_fails_keeps_no_other_back(caplog):
    done, ticks = [], TickQueue()
    ticks.then(lambda: 1 / 0)
    ticks.then(lambda: done.append("other"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["other"]
    assert len(caplog.records) == 1


async def test_while_it_gives_way_fan_out_takes_a_quarter_of_the_time():
    spent, other, ticks = 0.0, 0, TickQueue()

    def fan_out():
        nonlocal spent
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.01:
            pass
        spent += time.perf_counter() - begun
        ticks.fan_out(fan_out)

    ticks.give_way()
    ticks.fan_out(fan_out)
    begun = time.perf_counter()
    while spent < 0.1:
        await asyncio.sleep(0)
        other += 1
    assert spent / (time.perf_counter() - begun) < 0.35
    assert other > 100


async def test_answers_do_not_wait_for_a_fan_out_that_rests():
    done, ticks = [], TickQueue()
    ticks.give_way()
    ticks.fan_out(lambda: time.sleep(0.1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ticks.fan_out(lambda: done.append("handed out"))
    ticks.then(lambda: done.append("answer"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["answer"]
    async with asyncio.timeout(60):
        while len(done) < 2:
            await asyncio.sleep(0.01)
    assert done == ["answer", "handed out"]
