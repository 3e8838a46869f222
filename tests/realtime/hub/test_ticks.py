"""What waits for the end of a turn leaves after all that was to be handed out in it."""

import asyncio
import time

from realtime.hub.ticks import Tail


async def test_it_comes_after_what_is_called_in_this_turn():
    done, tail, loop = [], Tail(), asyncio.get_running_loop()
    tail.add(lambda: done.append("late"))
    tail.add(lambda: done.append("later"))
    loop.call_soon(done.append, "handed out")
    await asyncio.sleep(0)
    assert done == ["handed out"]
    await asyncio.sleep(0)
    assert done == ["handed out", "late", "later"]


async def test_each_is_called_once():
    done, tail = [], Tail()
    for number in range(2):
        tail.add(lambda number=number: done.append(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert done == [0, 1]


async def test_one_that_fails_keeps_no_other_back(caplog):
    done, tail = [], Tail()
    tail.add(lambda: 1 / 0)
    tail.add(lambda: done.append("other"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["other"]
    assert len(caplog.records) == 1


async def test_while_it_gives_way_fan_out_takes_a_quarter_of_the_time():
    spent, other, tail = 0.0, 0, Tail()

    def fan_out():
        nonlocal spent
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.01:
            pass
        spent += time.perf_counter() - begun
        tail.hand_out(fan_out)

    tail.give_way()
    tail.hand_out(fan_out)
    begun = time.perf_counter()
    while spent < 0.1:
        await asyncio.sleep(0)
        other += 1
    assert spent / (time.perf_counter() - begun) < 0.35
    assert other > 100


async def test_answers_do_not_wait_for_a_fan_out_that_rests():
    done, tail = [], Tail()
    tail.give_way()
    tail.hand_out(lambda: time.sleep(0.1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tail.hand_out(lambda: done.append("handed out"))
    tail.add(lambda: done.append("answer"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["answer"]
    async with asyncio.timeout(10):
        while len(done) < 2:
            await asyncio.sleep(0.01)
    assert done == ["answer", "handed out"]
