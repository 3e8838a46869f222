"""`manage.py realtime …`: speak to a room, see who is connected, close connections, and tell why
somebody may or may not."""

from __future__ import annotations

import json
import time
from argparse import SUPPRESS
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, MultipleObjectsReturned
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import CharField

from ...conf import realtime_settings
from ...exceptions import RealtimeError
from ...layers import get_layer
from ...layers.memory import MemoryRoomLayer
from ...layers.redis import RedisRoomLayer
from ...rights.backend import ACTIONS
from ...rights.explanation import MOST_COMPARED, Explanation, Rule, explain, nearest
from ...rights.verdicts import Verdict
from ...rooms import finding
from ...server_api import connections, publishing
from ..dashboard import dashboard
from ..doctor import LEVELS, examine, report
from ..doctor.remarks import Level
from ..site_setup import SiteSetup
from ..tables import connection_rows, counted, printable, process_rows, table, totals

MOST_SHOWN = 50
GONE_SECONDS = 5.0
LOOK_SECONDS = 0.1
_WHO = "a username, a primary key, or a name that `status` lists"


class Command(BaseCommand):
    help = "Live features from the shell."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        publish = commands.add_parser("publish", help="Publish a JSON value to a room.")
        publish.add_argument("room", help="the room's name, as in lobby or orders/42")
        publish.add_argument("data", help="""a JSON value, as in '{"text": "hello"}'""")
        status = commands.add_parser("status", help="Tell who is connected, in all processes.")
        status.add_argument("--user", help=f"only connections of this user: {_WHO}")
        status.add_argument("--room", help="only connections in this room")
        status.add_argument("--json", action="store_true", help="print JSON, with nothing left out")
        disconnect = commands.add_parser("disconnect", help="Close connections at once.")
        named = disconnect.add_mutually_exclusive_group()
        named.add_argument("--user", help=f"all connections of this user: {_WHO}")
        named.add_argument("--client", help="the one connection with this id")
        named.add_argument("--session", help="all of one sign-in: the sid of its tokens")
        disconnect.add_argument("--reason", default="", help="what the clients are told")
        explain = commands.add_parser("explain", help="Tell why a user may or may not.")
        explain.add_argument("user", help=_WHO)
        explain.add_argument("room", help="the room's name, as in lobby or orders/42")
        explain.add_argument("action", nargs="?", default="join", choices=ACTIONS)
        explain.add_argument(
            "--scope", help="the scopes of the token, as in 'realtime:join realtime:publish:lobby'"
        )
        explain.add_argument("--json", action="store_true", help="print JSON")
        init = commands.add_parser("init", help="Show what this site needs, as a diff.")
        init.add_argument("--write", action="store_true", help="change the files")
        doctor = commands.add_parser("doctor", help="Tell what is wrong or risky here.")
        doctor.add_argument("--json", action="store_true", help="print JSON")
        doctor.add_argument(
            "--fail-level",
            default="error",
            choices=LEVELS[2:],
            help="from which level on the exit status is 1 (default: error)",
        )
        acl = commands.add_parser("redis-acl", help="Print the rights that Redis has to give.")
        acl.add_argument("--user", default="realtime", help="the name of the account in Redis")
        board = commands.add_parser("dashboard", help="Print a dashboard for Grafana, as JSON.")
        for each in (publish, status, disconnect, explain, init, doctor, acl, board):
            _take_options_of_django(each)

    def execute(self, *args: Any, **options: Any) -> Any:
        if options.get("command") in ("init", "doctor"):
            options["skip_checks"] = True  # one sets right what they report, one reports it itself
        return super().execute(*args, **options)

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        try:
            getattr(self, command.replace("-", "_"))(**options)
        except RealtimeError as error:
            raise CommandError(str(error)) from error

    def _print_rows(self, rows: list[tuple[str, ...]]) -> None:
        for line in table(rows):
            self.stdout.write(line)

    def publish(self, *, room: str, data: str, **options: Any) -> None:
        _require_shared_layer()
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise CommandError(
                f"The data is not JSON: {error}. Write text in quotes: '\"hello\"'."
            ) from error
        publishing.publish(room, value)
        there = len(connections.connections(room=room))
        listening = f" {counted(there, 'connection')} in the room." if there else ""
        self.stdout.write(self.style.SUCCESS(f"Published to {room}.{listening}"))
        # Before the warning also where one of the two is no terminal.
        self.stdout.flush()
        if finding.find(room) is None:
            warning = f"The room {room} is archived: nobody has received this message."
            self.stderr.write(warning, self.style.WARNING)
        elif not there:
            self.stderr.write(f"Nobody is in the room {room} now.", self.style.WARNING)

    def status(self, *, user: str | None, room: str | None, **options: Any) -> None:
        _require_shared_layer()
        owner = None if user is None else _find_user(user)
        alive = connections.live_processes()
        shown = connections.connections(user=owner, room=room)
        if options["json"]:
            processes = [
                {**msgspec.to_builtins(process.process), "connections": len(process.connections)}
                for process in alive
            ]
            listed = {"processes": processes, "connections": msgspec.to_builtins(shown)}
            self.stdout.write(json.dumps(listed, indent=2))
            return
        if not alive:
            self.stdout.write("No process serves connections.")
            return
        self._print_rows(process_rows(alive))
        self.stdout.write(totals(alive))
        if not shown:
            return
        self.stdout.write("")
        self._print_rows(connection_rows(shown[:MOST_SHOWN], alive))
        if len(shown) > MOST_SHOWN:
            more = len(shown) - MOST_SHOWN
            self.stdout.write(f"{more} more: narrow with --user or --room, or see all by --json.")

    def disconnect(
        self,
        *,
        user: str | None,
        client: str | None,
        session: str | None,
        reason: str,
        **options: Any,
    ) -> None:
        _require_shared_layer()
        if not (user or client or session):
            raise CommandError("Say who: --user NAME, --client ID or --session SID.")
        owner = _find_user(user) if user else None
        found = {
            connection.client
            for connection in connections.connections(user=owner)
            if (not client or connection.client == client)
            and (not session or connection.sign_in == session)
        }
        connections.disconnect(owner, client=client or "", session=session or "", reason=reason)
        left = _wait_until_gone(found)
        if left:
            raise CommandError(
                f"{counted(len(found), 'connection')} found, and {len(left)} still listed after "
                f"{GONE_SECONDS:.0f} s. One of a process that was killed is listed "
                f"{realtime_settings.PROCESS_TTL_SECONDS:.0f} s longer; see `realtime status`."
            )
        gone = f"{counted(len(found), 'connection')} found, 0 left."
        self.stdout.write(self.style.SUCCESS(gone if found else "No such connection is open."))

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

    def init(self, *, write: bool, **options: Any) -> None:
        try:
            setup = SiteSetup()
        except (ImproperlyConfigured, OSError, SyntaxError) as error:
            raise CommandError(f"The site can't be read: {error}") from error
        for line in setup.diff():
            self.stdout.write(line)
        for sentence in setup.left_alone:
            self.stdout.write(self.style.WARNING(f"Left alone, do it by hand: {sentence}"))
        if not setup.after:
            done = "Nothing to write." if setup.left_alone else "This site has what it needs."
            self.stdout.write(self.style.SUCCESS(done))
        elif write:
            setup.write()
            names = ", ".join(path.name for path in setup.after)
            self.stdout.write(self.style.SUCCESS(f"Written: {names}."))
            self.stdout.write("Next: manage.py check, and manage.py migrate.")
        else:
            self.stdout.write("Nothing is written. To write it: manage.py realtime init --write")

    def doctor(self, *, fail_level: Level, **options: Any) -> None:
        remarks = list(examine())
        if options["json"]:
            self.stdout.write(json.dumps(msgspec.to_builtins(remarks), indent=2))
        else:
            for line in report(remarks, self.style):
                self.stdout.write(line)
        failing = LEVELS[LEVELS.index(fail_level) :]
        found = sum(remark.level in failing for remark in remarks)
        if found:
            raise CommandError(f"{counted(found, 'remark')} of level {fail_level} or worse.")

    def dashboard(self, **options: Any) -> None:
        self.stdout.write(json.dumps(dashboard(), indent=2))

    def redis_acl(self, *, user: str, **options: Any) -> None:
        _require_shared_layer()
        layer = get_layer()
        if not isinstance(layer, RedisRoomLayer):
            raise CommandError("The channel layer is not the one on Redis.")
        for place, rule in layer.topology.acl_rules(user).items():
            self.stdout.write(f"# {place}")
            self.stdout.write(rule)


def _take_options_of_django(parser: CommandParser) -> None:
    """Take them behind the subcommand too. Without a default: it would hide what came before."""
    group = parser.add_argument_group("options of all commands")
    for name in ("--settings", "--pythonpath"):
        group.add_argument(name, default=SUPPRESS)
    group.add_argument(*("-v", "--verbosity"), type=int, choices=range(4), default=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        group.add_argument(name, action="store_true", default=SUPPRESS)


def _row(rule: Rule) -> tuple[str, str, str]:
    label = f"  {rule.label}" if rule.part_of else rule.label
    return label, str(rule.verdict.label), rule.source


def _wait_until_gone(clients: set[str]) -> set[str]:
    """Those of `clients` that are still listed after a while."""
    ends = time.monotonic() + GONE_SECONDS
    pause = LOOK_SECONDS
    left = clients
    while left and time.monotonic() < ends:
        time.sleep(pause)
        pause *= 1.5
        left = left & {connection.client for connection in connections.connections()}
    return left


def _find_user(name: str) -> Any:
    try:
        user = connections.find_user(name)
    except MultipleObjectsReturned as error:
        raise CommandError(f"Several users are called {name}. Give a primary key.") from error
    if user is None:
        near = _nearest_username(name)
        hint = f"Did you mean {near}?" if near else "Give a username or a primary key."
        raise CommandError(f"There is no user {name}. {hint}")
    return user


def _nearest_username(name: str) -> str:
    field = get_user_model().USERNAME_FIELD
    usernames = get_user_model()._default_manager.values_list(field, flat=True)
    alike = usernames.none()
    if isinstance(get_user_model()._meta.get_field(field), CharField):
        alike = usernames.filter(**{f"{field}__istartswith": name[:1]})
    first, others = (list(map(str, it[:MOST_COMPARED])) for it in (alike, usernames))
    return nearest(name, first) or nearest(name, others)


def _require_shared_layer() -> None:
    if isinstance(get_layer(), MemoryRoomLayer):
        raise CommandError(
            "The channel layer lives in the process of the server, which this command is not. "
            f'Set CHANNEL_LAYERS["{realtime_settings.CHANNEL_LAYER}"]["BACKEND"] to '
            '"realtime.layers.redis.RedisRoomLayer", with a Redis that both use.'
        )
