"""`manage.py realtime …`: speak to a room, and see why somebody may or may not."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import publishing, rights
from ...exceptions import RealtimeError
from ...explanation import MOST_COMPARED, Explanation, Rule, explain, nearest
from ...layers import get_layer
from ...layers.memory import MemoryRoomLayer
from ...verdicts import Verdict
from ..tables import printable, table


class Command(BaseCommand):
    help = "Live features from the shell."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        publish = commands.add_parser("publish", help="Publish a JSON value to a room.")
        publish.add_argument("room", help="the room's name, as in lobby or orders/42")
        publish.add_argument("data", help="""a JSON value, as in '{"text": "hello"}'""")
        explain = commands.add_parser("explain", help="Tell why a user may or may not.")
        explain.add_argument("user", help="a username, or else a primary key")
        explain.add_argument("room", help="the room's name, as in lobby or orders/42")
        explain.add_argument("action", nargs="?", default="join", choices=rights.ACTIONS)
        explain.add_argument(
            "--scope", help="the scopes of the token, as in 'realtime:join realtime:publish:lobby'"
        )
        explain.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        getattr(self, command)(**options)

    def publish(self, *, room: str, data: str, **options: Any) -> None:
        _require_shared_layer()
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

    def explain(
        self, *, user: str, room: str, action: str, scope: str | None, **options: Any
    ) -> None:
        explanation = explain(_find_user(user), room, action, scope)
        if options["json"]:
            self.stdout.write(json.dumps(explanation.as_dict(), indent=2))
        else:
            self._print_explanation(explanation)

    def _print_explanation(self, explanation: Explanation) -> None:
        colours = {Verdict.YES: self.style.SUCCESS, Verdict.NO: self.style.ERROR}
        rows = [_row(rule) for rule in explanation.rules]
        styles = [(None, colours.get(rule.verdict), None) for rule in explanation.rules]
        for line in table(rows, styles):
            self.stdout.write(line)
        outcome = self.style.SUCCESS if explanation.allowed else self.style.ERROR
        self.stdout.write("\n" + outcome(printable(explanation.sentence)))


def _row(rule: Rule) -> tuple[str, str, str]:
    label = f"  {rule.label}" if rule.part_of else rule.label
    return label, str(rule.verdict.label), rule.source


def _find_user(name: str) -> Any:
    users: Any = get_user_model()._default_manager
    try:
        return users.get_by_natural_key(name)
    except get_user_model().DoesNotExist:
        pass
    try:
        return users.get(pk=name)
    except (get_user_model().DoesNotExist, ValueError, OverflowError, ValidationError) as error:
        near = _nearest_username(name)
        hint = f"Did you mean {near}?" if near else "Give a username or a primary key."
        raise CommandError(f"There is no user {name}. {hint}") from error


def _nearest_username(name: str) -> str:
    field = get_user_model().USERNAME_FIELD
    usernames = get_user_model()._default_manager.values_list(field, flat=True)
    alike = usernames.filter(**{f"{field}__istartswith": name[:1]})[:MOST_COMPARED]
    return nearest(name, alike) or nearest(name, usernames[:MOST_COMPARED])


def _require_shared_layer() -> None:
    if isinstance(get_layer(), MemoryRoomLayer):
        raise CommandError(
            "The channel layer lives in the process of the server, which this command is not. "
            "Set REDIS_URL (or CHANNEL_LAYERS) to a Redis that both use."
        )
