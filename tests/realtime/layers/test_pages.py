"""A kept message that can't be read starts its room again, and is never handed out."""

import asyncio
import logging

import pytest

from realtime.layers import pages
from realtime.rooms.publications import Retention
from realtime.sparse_log import SparseLogs

KEEP = Retention(10, 60)
READABLE = b'{"data":1}'


async def read(layer, **options):
    return await pages.read_page(layer, "lobby", **options)


async def read_sync(layer, **options):
    return await asyncio.to_thread(pages.read_page_sync, layer, "lobby", **options)


@pytest.fixture(params=[read, read_sync])
def read_page(request, layer):
    """Both forms of it."""
    return lambda **options: request.param(layer, **options)


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch):
    monkeypatch.setattr(pages, "_log", SparseLogs(logging.getLogger("realtime.layers")))


async def test_messages_that_can_be_read_are_handed_out(layer, read_page, caplog):
    for _ in range(3):
        last = await layer.append("lobby", READABLE, KEEP)
    page = await read_page(since=1, limit=10)
    assert page.position == last
    assert [publication.offset for publication in page.publications] == [2, 3]
    assert (await read_page(limit=1, reverse=True)).publications[0].offset == 3
    assert not caplog.records


@pytest.mark.parametrize("body", [b'{"data":{"a', b"", b"[]", b'{"data":1,"info":5}', b"\xff"])
async def test_a_message_that_can_not_be_read_starts_the_room_again(layer, read_page, caplog, body):
    await layer.append("lobby", READABLE, KEEP)
    before = await layer.append("lobby", body, KEEP)
    page = await read_page(since=0, limit=10)
    assert page.publications == []
    assert (page.position.epoch != before.epoch, page.position.offset) == (True, 0)
    assert "'lobby'" in caplog.text
    again = await layer.append("lobby", READABLE, KEEP)
    page = await read_page(since=0, limit=10)
    assert (page.position, len(page.publications)) == (again, 1)


async def test_two_readers_start_the_room_again_once(layer, read_page):
    await layer.append("lobby", b"unreadable", KEEP)
    first, second = await asyncio.gather(read_page(limit=5), read_page(limit=5))
    assert first.position == second.position


async def test_the_position_of_a_room_is_read_without_its_messages(layer, read_page, caplog):
    last = await layer.append("lobby", b"unreadable", KEEP)
    assert await read_page() == (last, [])
    assert not caplog.records
