"""What waits for the end of a turn leaves after all that was to be handed out in it."""

import asyncio

from realtime.tail import Tail


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
