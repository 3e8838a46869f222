"""The contract of changed rights and ended sign-ins, on both layers."""

import asyncio

from realtime.rooms.publications import Retention

KEEP_THREE = Retention(3, 60)


async def test_changes_are_found_by_whom_and_what_they_concern(layer):
    assert await layer.last_changes([("1", "lobby")]) == [-1]
    await layer.mark_changes([("1", "lobby"), ("2", None)])
    await asyncio.to_thread(layer.mark_changes_sync, [(None, "staff")])
    asked = [("1", "lobby"), ("1", "other"), ("2", "other"), ("3", "staff"), ("3", "lobby")]
    found = await layer.last_changes(asked)
    assert [time_ms > 0 for time_ms in found] == [True, False, True, True, False]
    await layer.mark_changes([(None, None)])
    assert all(time_ms > 0 for time_ms in await layer.last_changes(asked))


async def test_a_change_is_on_the_clock_of_the_publications(layer):
    await layer.append("lobby", b"1", KEEP_THREE)
    await asyncio.sleep(0.005)
    await layer.mark_changes([("1", None)])
    await asyncio.sleep(0.005)
    await layer.append("lobby", b"2", KEEP_THREE)
    before, after = (await layer.history("lobby", limit=10)).publications
    assert before.at_ms < (await layer.last_changes([("1", "lobby")]))[0] < after.at_ms


async def test_sign_ins_that_ended_are_remembered_for_a_while(layer):
    await asyncio.to_thread(layer.end_sign_in_sync, "s1", 60)
    await asyncio.to_thread(layer.end_sign_in_sync, "s2", 0.05)
    ended = await layer.ended_sign_ins()
    assert 50 < ended["s1"] <= 60
    async with asyncio.timeout(60):
        while "s2" in await layer.ended_sign_ins():
            await asyncio.sleep(0.02)
    assert set(await layer.ended_sign_ins()) == {"s1"}
