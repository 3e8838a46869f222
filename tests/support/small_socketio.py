"""As much of Socket.IO as tests of the transports below it need, as an ASGI application."""

import json
import os

import msgspec
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings.base")
django = get_asgi_application()

from realtime.consumers import RealtimeConsumer  # noqa: E402
from realtime.middleware import JWTAuthMiddleware  # noqa: E402
from realtime.protocols.base import ProtocolError  # noqa: E402
from realtime.protocols.centrifuge import CentrifugeProtocol  # noqa: E402
from realtime.protocols.requests import Command, Connect, Publish, Subscribe  # noqa: E402
from realtime.routing import lifespan, websocket_application  # noqa: E402
from realtime.transports.engineio import EngineIO  # noqa: E402
from realtime.transports.upgrading import is_upgrade, upgrade  # noqa: E402


class SmallProtocol(CentrifugeProtocol):
    """`emit("join", room, ack)`, `emit("publish", room, data, ack)`, and an event "message"."""

    separator = None
    ping = "2"
    pong = "3"
    message_types = (str, bytes)

    def decode(self, message):
        if message == "41":
            raise ProtocolError("the client has left")
        if message[:2] == "40":
            return Command(0, "connect", Connect(token=json.loads(message[2:])["token"]))
        begin = message.index("[")
        id, (name, room, *data) = int(message[2:begin]), json.loads(message[begin:])
        if name == "join":
            return Command(id, "subscribe", Subscribe(channel=room))
        return Command(id, "publish", Publish(room, msgspec.Raw(msgspec.json.encode(data[0]))))

    def id_in(self, message):
        return 0

    def encode_reply(self, command, result):
        if command.name == "connect":
            return ["40" + json.dumps({"sid": result["client"]})]
        return [f"43{command.id}[]"]

    def encode_error(self, id, error):
        return f"43{id}" + json.dumps([{"error": error.message}])

    def encode_publication(self, room, publication):
        event = ["message", room, publication.content().data]
        return "42" + msgspec.json.encode(event).decode()

    def encode_presence(self, room, event, info):
        return ""

    def encode_disconnect(self, code, reason):
        return "41"


class SmallConsumer(RealtimeConsumer):
    def protocol(self, scope):
        return SmallProtocol()


polling = EngineIO(SmallConsumer(), JWTAuthMiddleware)


async def http(scope, receive, send):
    await (polling if scope["path"] == "/socket.io/" else django)(scope, receive, send)


async def websocket(scope, receive, send):
    if is_upgrade(scope):
        await upgrade(scope, receive, send, JWTAuthMiddleware)
    else:
        await websocket_application(scope, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})
