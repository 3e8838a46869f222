"""Large reads: bounded in bytes, and no command of others waits behind them."""

import asyncio
from contextlib import suppress

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.rooms.publications import Retention

KEEP_ALL = Retention(100, 60)
LARGE = b'{"data":"' + b"x" * 65_000 + b'"}'


@pytest.fixture
async def layer(open_redis_layer):
    layer = open_redis_layer()
    for _ in range(100):
        await layer.append("large", LARGE, KEEP_ALL)
    return layer


async def test_a_read_is_bounded_in_bytes_and_goes_on_from_its_end(layer, settings):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": 200_000}
    page = await layer.history("large", since=0, limit=300)
    assert [each.offset for each in page.publications] == [1, 2, 3, 4, 5, 6]
    assert page.position.offset == 100
    found = []
    while True:
        page = await layer.history("large", since=len(found), limit=300)
        if not page.publications:
            break
        found += [each.offset for each in page.publications]
    assert found == list(range(1, 101))
    page = await layer.history("large", limit=300, reverse=True)
    assert [each.offset for each in page.publications] == [100, 99, 98, 97, 96, 95]
    page = await asyncio.to_thread(layer.history_sync, "large", since=50, limit=300)
    assert [each.offset for each in page.publications] == [51, 52, 53, 54, 55, 56]


async def test_one_message_is_returned_whatever_its_size(layer, settings):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": 10}
    assert len((await layer.history("large", since=0, limit=300)).publications) == 1
    assert len((await layer.history("large", since=99, limit=300)).publications) == 1


async def test_many_small_messages_are_read_whole(open_redis_layer):
    layer = open_redis_layer()
    for _ in range(50):
        await layer.append("small", b"1", KEEP_ALL)
    for limit in (1, 15, 16, 17, 32, 49, 50, 60):
        page = await layer.history("small", since=0, limit=limit)
        assert [each.offset for each in page.publications] == list(range(1, min(limit, 50) + 1))
        page = await layer.history("small", limit=limit, reverse=True)
        offsets = [each.offset for each in page.publications]
        assert offsets == list(range(50, 50 - min(limit, 50), -1))


async def test_publishes_of_others_go_on_while_much_is_read(layer):
    """Behind the replies to twenty full histories of 64 KiB messages, publishes timed out."""
    stop = asyncio.Event()

    async def read():
        pages = 0
        while not stop.is_set():
            with suppress(LayerUnavailable):  # on a busy machine they may be late themselves
                await layer.history("large", since=0, limit=300)
                pages += 1
        return pages

    readers = [asyncio.create_task(read()) for _ in range(20)]
    for _ in range(20):
        await layer.append("other", b"1")
        await asyncio.sleep(0.05)
    stop.set()
    assert sum(await asyncio.gather(*readers))
