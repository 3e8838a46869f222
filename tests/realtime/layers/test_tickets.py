"""The contract of tickets, on both layers."""

import asyncio


async def test_a_ticket_is_redeemed_once_also_by_two_at_once(layer):
    await asyncio.to_thread(layer.store_ticket, "t", b"identity", 30)
    redeemed = await asyncio.gather(*(layer.redeem_ticket("t") for _ in range(5)))
    assert sorted(redeemed, key=bool) == [None] * 4 + [b"identity"]
    assert await layer.redeem_ticket("unknown") is None
    assert await layer.redeem_ticket("odd \ud800 \x00") is None
