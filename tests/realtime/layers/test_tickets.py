"""The contract of tickets, on both layers."""

import asyncio


async def test_a_ticket_is_redeemed_once_also_by_two_at_once(layer):
    await asyncio.to_thread(layer.store_ticket, "t", b"identity", 30)
    redeemed = await asyncio.gather(*(layer.redeem_ticket("t") for _ in range(5)))
    assert sorted(redeemed, key=bool) == [None] * 4 + [b"identity"]
    assert await layer.redeem_ticket("unknown") is None
    assert await layer.redeem_ticket("odd \ud800 \x00") is None


async def test_a_ticket_is_stored_from_the_event_loop_for_its_time(layer):
    await layer.astore_ticket("t", b"\x00\xff", 30)
    assert await layer.redeem_ticket("t") == b"\x00\xff"
    await layer.astore_ticket("t", b"first", 30)
    await layer.astore_ticket("t", b"second", 30)
    assert await layer.redeem_ticket("t") == b"second"
