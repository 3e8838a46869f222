"""python-socketio with its Redis manager, as its documentation sets it up for several processes."""

import os

import socketio

sio = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    # A subscriber without messages must not reconnect.
    client_manager=socketio.AsyncRedisManager(
        os.environ["REDIS_URL"], redis_options={"socket_timeout": None}
    ),
)


@sio.event
async def join(sid: str, room: str) -> list[str]:
    await sio.enter_room(sid, room)
    return []


@sio.event
async def publish(sid: str, room: str, text: str) -> None:
    await sio.emit("message", text, room=room)


@sio.event
async def echo(sid: str, text: str) -> str:
    return text


application = socketio.ASGIApp(sio)
