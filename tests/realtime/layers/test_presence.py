"""The contract of presence, on both layers."""

import asyncio

from realtime.layers.records import Member, PresenceChange


def member(client, user):
    return Member(client, user, f"{user}'s info".encode())


async def update(layer, present=(), ended=()):
    """One update of the lobby: (who has come, who has gone)."""
    change = PresenceChange("lobby", [member(*who) for who in present], list(ended))
    [news] = await layer.update_presence([change])
    assert news.room == "lobby"
    return sorted(news.joined), sorted(news.left)


async def test_presence_counts_people_and_not_tabs(layer):
    assert await update(layer, [("tab-1", "alice")]) == ([b"alice's info"], [])
    assert await update(layer, [("tab-2", "alice"), ("tab-3", "bob")]) == ([b"bob's info"], [])
    attendance = await layer.presence("lobby")
    assert (attendance.clients, attendance.users) == (3, 2)
    assert sorted(attendance.infos) == [b"alice's info", b"alice's info", b"bob's info"]
    assert (await layer.presence("lobby", infos=False)) == (3, 2, [])
    assert (await layer.presence("empty")) == (0, 0, [])
    assert await asyncio.to_thread(layer.presence_sync, "lobby", infos=False) == (3, 2, [])


async def test_writing_the_same_down_again_is_no_news(layer):
    await update(layer, [("tab-1", "alice")])
    assert await update(layer, [("tab-1", "alice")]) == ([], [])
    assert (await layer.presence("lobby")).clients == 1


async def test_closing_one_of_two_tabs_is_no_leaving(layer):
    await update(layer, [("tab-1", "alice"), ("tab-2", "alice")])
    assert await update(layer, ended=["tab-1"]) == ([], [])
    attendance = await layer.presence("lobby")
    assert (attendance.clients, attendance.users) == (1, 1)


async def until_clients(layer, count):
    """Wait until the time of the others has passed."""
    async with asyncio.timeout(60):
        while (await layer.presence("lobby")).clients != count:
            await asyncio.sleep(0.02)


async def test_a_user_who_comes_back_in_time_has_not_left(layer, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 60}
    await update(layer, [("before", "alice")])
    assert await update(layer, ended=["before"]) == ([], [])
    assert (await layer.presence("lobby")).users == 1
    assert await update(layer, [("after", "alice")]) == ([], [])
    assert (await layer.presence("lobby")).clients == 1


async def test_a_connection_that_comes_back_in_time_stays_when_that_time_is_over(layer, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 2}
    await update(layer, [("tab", "alice"), ("other", "bob")])
    assert await update(layer, ended=["tab", "other"]) == ([], [])
    assert await update(layer, [("tab", "alice")]) == ([], [])
    await until_clients(layer, 1)  # the time of both would be over with that of bob
    assert await update(layer) == ([], [b"bob's info"])
    assert (await layer.presence("lobby")).infos == [b"alice's info"]


async def test_a_user_who_stays_away_has_left_once(layer, settings):
    settings.REALTIME = {"PRESENCE_LEAVE_SECONDS": 0.1}
    await update(layer, [("tab", "alice")])
    await update(layer, ended=["tab", "unknown"])
    await until_clients(layer, 0)
    assert (await layer.presence("lobby")).users == 0
    told = await asyncio.gather(*(update(layer) for _ in range(5)))
    assert sorted(told) == [([], [])] * 4 + [([], [b"alice's info"])]


async def test_entries_of_a_killed_process_expire(layer, settings):
    settings.REALTIME = {"PRESENCE_TTL_SECONDS": 60}
    await update(layer, [("alive", "bob")])
    # All keys of the room are kept for twice the longer of the two times.
    settings.REALTIME = {"PRESENCE_TTL_SECONDS": 0.1, "PRESENCE_LEAVE_SECONDS": 60}
    await update(layer, [("killed", "alice")])
    await until_clients(layer, 1)
    assert await update(layer) == ([], [b"alice's info"])
    assert (await layer.presence("lobby")).infos == [b"bob's info"]
