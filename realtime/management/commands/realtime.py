"""`manage.py realtime publish <room> <json>`: speak to a room from the shell."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import publishing
from ...exceptions import RealtimeError
from ...layers import get_layer
from ...layers.memory import MemoryRoomLayer


class Command(BaseCommand):
    help = "Live features from the shell."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        publish = commands.add_parser("publish", help="Publish a JSON value to a room.")
        publish.add_argument("room", help="the room's name, as in lobby or orders/42")
        publish.add_argument("data", help="""a JSON value, as in '{"text": "hello"}'""")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        getattr(self, command)(**options)

    def publish(self, *, room: str, data: str, **options: Any) -> None:
        if isinstance(get_layer(), MemoryRoomLayer):
            raise CommandError(
                "The channel layer lives in the process of the server, which this command is not. "
                "Set REDIS_URL (or CHANNEL_LAYERS) to a Redis that both use."
            )
        try:
            value = json.loads(data)
        except ValueError as error:
            raise CommandError(
                f"The data is not JSON: {error}. Write text in quotes: '\"hello\"'."
            ) from error
        try:
            publishing.publish(room, value)
        except RealtimeError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS(f"Published to {room}."))
