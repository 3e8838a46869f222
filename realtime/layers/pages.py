"""Pages of history whose publications can be read; a room that holds others starts again."""

from __future__ import annotations

import logging

import msgspec

from ..sparse_log import SparseLogs
from .base import RoomLayer
from .records import Page

_log = SparseLogs(logging.getLogger("realtime.layers"))


async def read_page(
    layer: RoomLayer, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
) -> Page:
    """As `layer.history`. Raises `LayerUnavailable`."""
    page = await layer.history(room, since=since, limit=limit, reverse=reverse)
    if not _is_readable(page):
        _report(room)
        await layer.renew(room, page.position.epoch)
        page = await layer.history(room)
    return page


def read_page_sync(
    layer: RoomLayer, room: str, *, since: int | None = None, limit: int = 0, reverse: bool = False
) -> Page:
    """As `read_page`, from any thread."""
    page = layer.history_sync(room, since=since, limit=limit, reverse=reverse)
    if not _is_readable(page):
        _report(room)
        layer.renew_sync(room, page.position.epoch)
        page = layer.history_sync(room)
    return page


def _is_readable(page: Page) -> bool:
    try:
        for publication in page.publications:
            publication.content()
    except (msgspec.MsgspecError, ValueError):
        return False
    return True


def _report(room: str) -> None:
    _log.warning(
        room, "a kept message of the room %r can't be read; the room starts again without", room
    )
