"""The commands of clients: one function per command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..codes import Error
from ..concurrency import threads
from ..conf import realtime_settings
from ..layers.pages import read_page
from ..layers.records import Attendance
from ..protocols import requests
from ..protocols.base import Reply
from ..protocols.requests import CommandError
from ..rooms import payloads
from ..rooms.handlers import RoomCall, room_call, rpc_handler, send_handlers
from ..rooms.procedures import takes_client
from ..rooms.publications import Publication, retention
from ..rooms.room_types import CodeRoom
from ..server_api.reading import to_client_infos
from . import admission, publisher, subscription_tokens
from .batches import Turn
from .joining import enter, require
from .session import Session

_TOO_MANY_TO_LIST = Error(
    Error.LIMIT_EXCEEDED.code, "limit exceeded: too many to list; ask for presence_stats"
)


async def subscribe(session: Session, body: requests.Subscribe, turn: Turn | None = None) -> Reply:
    name = _required(body.channel)
    if not body.token:
        return await enter(session, name, body, turn)
    return await subscription_tokens.enter_by(session, name, body.token, body, turn)


async def sub_refresh(session: Session, body: requests.SubRefresh) -> Reply:
    return await subscription_tokens.renew(session, _required(body.channel), body.token or "")


async def unsubscribe(session: Session, body: requests.Channel) -> Reply:
    name = _required(body.channel)
    if session.late_rooms is not None:
        session.late_rooms.forget(name)
    session.leave(name)
    return {}


async def publish(session: Session, body: requests.Publish) -> Reply:
    await publisher.publish(session, _required(body.channel), bytes(body.data))
    return {}


async def history(session: Session, body: requests.History) -> Reply:
    name = _required(body.channel)
    _, room = await require(session, "join", name)
    if not retention(room).keeps:
        raise CommandError(Error.NOT_AVAILABLE)
    session.refuse_when_congested()
    most = realtime_settings.RECOVERY_MAX_MESSAGES
    page = await read_page(
        session.node.layer,
        name,
        since=body.since.offset if body.since else None,
        limit=most if body.limit < 0 else min(body.limit, most),
        reverse=body.reverse,
    )
    if body.since and body.since.epoch not in ("", page.position.epoch):
        raise CommandError(Error.UNRECOVERABLE_POSITION)
    return {
        "publications": _fitting(page.publications),
        "epoch": page.position.epoch,
        "offset": page.position.offset,
    }


def _fitting(publications: list[Publication]) -> list[Publication]:
    """As many as one reply may hold, and one at least; the client reads on from there."""
    size = 0
    for index, publication in enumerate(publications):
        size += len(publication.body)
        if index and size > realtime_settings.RECOVERY_MAX_BYTES:
            return publications[:index]
    return publications


async def presence(session: Session, body: requests.Channel) -> Reply:
    attendance = await _attendance(session, body, infos=True)
    if attendance.clients > realtime_settings.PRESENCE_MAX_CLIENTS:
        raise CommandError(_TOO_MANY_TO_LIST)
    return {"presence": {info.client: info for info in to_client_infos(attendance)}}


async def presence_stats(session: Session, body: requests.Channel) -> Reply:
    attendance = await _attendance(session, body, infos=False)
    return {"num_clients": attendance.clients, "num_users": attendance.users}


async def _attendance(session: Session, body: requests.Channel, *, infos: bool) -> Attendance:
    name = _required(body.channel)
    _, room = await require(session, "join", name)
    if not room.presence:
        raise CommandError(Error.NOT_AVAILABLE)
    session.refuse_when_congested()
    await session.node.presence.settle(name)
    return await session.node.layer.presence(name, infos=infos)


async def rpc(session: Session, body: requests.Rpc) -> Reply:
    handler = rpc_handler(body.method)
    call = room_call(body.method) if handler is None else None
    if handler is None and call is None:
        raise CommandError(Error.METHOD_NOT_FOUND)
    data = payloads.decode(payloads.checked(bytes(body.data)))
    options: Mapping[str, Any] = {}
    if call is not None:
        handler, options = await _procedure(session, call)
    assert handler is not None
    if takes_client(handler):
        options = {"client": session.id, **options}
    result = await threads.call_hook(session.user_id, handler, session.caller.user, data, **options)
    return {"data": payloads.raw(payloads.encode_result(result))}


async def _procedure(
    session: Session, call: RoomCall
) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """The method of a room type, and what the name of the room captures."""
    _, room = await require(session, call.right, call.room)
    if not isinstance(room, CodeRoom):
        raise CommandError(Error.METHOD_NOT_FOUND)
    return getattr(room.type, call.method), room.captured


async def send(session: Session, body: requests.Send) -> None:
    data = payloads.decode(payloads.checked(bytes(body.data)))
    for handler in send_handlers():
        await threads.call_hook(session.user_id, handler, session.caller.user, data)


async def ping(session: Session, body: requests.Ping) -> Reply:
    return {}


def _required(channel: str) -> str:
    if not channel:
        raise CommandError(Error(Error.BAD_REQUEST.code, "bad request: channel is missing"))
    return channel


Handler = Callable[[Session, Any], Awaitable[Reply | None]]

HANDLERS: Mapping[str, Handler] = {
    "connect": admission.connect,
    "refresh": admission.refresh,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "history": history,
    "presence": presence,
    "presence_stats": presence_stats,
    "rpc": rpc,
    "send": send,
    "sub_refresh": sub_refresh,
    "ping": ping,
}
