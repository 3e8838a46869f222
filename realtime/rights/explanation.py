"""Explains why a user may or may not do something in a room, rule by rule."""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import auth
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework_simplejwt.settings import api_settings

from .. import names, user_models
from ..authentication import Identity, profiles
from ..concurrency.threads import refuse_on_event_loop
from ..conf import realtime_settings
from ..databases import reads_up_to_date
from ..models import Room
from ..rooms.finding import AnyRoom
from ..rooms.room_types import find_in_code, is_personal, registered
from . import queries
from .answers import GRANTED, reload_user
from .backend import ACTIONS, ModelBackend, RoomBackend, is_listed, owns
from .room_rules import RoomRules
from .verdicts import Inquiry, Verdict, answered, only_true, path, raised
from .verdicts import Rule as Rule

MOST_COMPARED = 5_000
MOST_PATTERNS = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer of the live system to one question, and the rules that led to it."""

    user: str
    room: str
    action: str
    allowed: bool
    reason: str
    rules: list[Rule]

    @property
    def sentence(self) -> str:
        """Return the outcome, as in `alice may join staff: in the room's group Staff.`"""
        words = {"user": self.user, "room": self.room, "reason": self.reason}
        return str(_SENTENCES[self.action, self.allowed]) % words

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as a dict for JSON."""
        return {**asdict(self), "sentence": self.sentence}


@reads_up_to_date
def explain(
    user: Any, room_name: str, action: str = "join", scopes: str | Collection[str] | None = None
) -> Explanation:
    """Explain whether `user` may `action` (join, publish or moderate) in a room, and by which rule.

    `scopes` are the words of the token's `scope` claim, or None for a token without one. Reads the
    current state of the database, and calls every backend and hook as for a connection.
    """
    refuse_on_event_loop("explain")
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is not one of {', '.join(ACTIONS)}.")
    words = scopes.split() if isinstance(scopes, str) else scopes
    narrowed = None if words is None else frozenset(words)
    who = profiles.label(user) or _("an anonymous user")
    return _Question(reload_user(user), who, action, room_name, narrowed).explanation()


aexplain = sync_to_async(explain)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the most similar one of `known`, "" if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


class _Question(Inquiry):
    """Asks every rule that has an influence on one question."""

    def __init__(
        self, user: Any, who: str, action: str, name: str, scopes: frozenset[str] | None
    ) -> None:
        super().__init__(user, who, action)
        self.name = name
        self.scopes = scopes
        self.room: AnyRoom | None = None

    def explanation(self) -> Explanation:
        started = time.monotonic()
        self.ask("user", self._may_sign_in)
        self.ask("name", self._may_be_a_name)
        self.ask("room", self._is_there)
        if self.action == "publish":
            self.ask("join", self._may_join)
        self._ask_for_the_right()
        self._check_time(time.monotonic() - started)
        allowed = self.allowed is True
        return Explanation(self.who, self.name, self.action, allowed, self.reason, self.rules)

    # The user and the room

    def _may_sign_in(self) -> tuple[Verdict, str]:
        user, rule = self.user, api_settings.USER_AUTHENTICATION_RULE
        if user is None:
            return self.refuse(_("%s is not in the database") % self.who)
        if user.is_anonymous:
            if realtime_settings.ALLOW_ANONYMOUS:
                return Verdict.YES, _("ALLOW_ANONYMOUS is on")
            return self.refuse(_("ALLOW_ANONYMOUS is off"))
        words = {"user": self.who, "id": user.pk, "rule": path(rule)}
        try:
            if rule(user):
                return Verdict.YES, _("%(user)s, id %(id)s, may sign in") % words
        except Exception as error:
            return self.refuse(raised(path(rule), error))
        if not getattr(user, "is_active", True):
            return self.refuse(_("%(user)s, id %(id)s, is not active") % words)
        return self.refuse(_("%(rule)s refuses %(user)s, id %(id)s") % words)

    def _may_be_a_name(self) -> tuple[Verdict, str]:
        if names.is_room_name(self.name):
            return Verdict.YES, _("%s can be the name of a room") % self.name
        return self.refuse(_("a room name has %s") % names.RULE)

    def _is_there(self) -> tuple[Verdict, str]:
        in_code = find_in_code(self.name)
        if is_personal(in_code):
            self.room = in_code
            return Verdict.YES, _("the personal room of a user")
        if in_code is not None:
            self.room = in_code
            words = {"pattern": in_code.pattern, "type": path(type(in_code.type))}
            return Verdict.YES, _("%(pattern)s in code: %(type)s") % words
        self.room = queries.find_room(self.user, self.name)
        if self.room is not None:
            return Verdict.YES, _("“%s” in the database") % self.room
        if queries.is_archived(self.name):
            return self.refuse(_("the room is archived, and nobody may enter an archived room"))
        known = Room.objects.filter(archived=False).values_list("name", flat=True)
        if near := nearest(self.name, known[:MOST_COMPARED]):
            return self.refuse(_("there is no such room; the nearest name is %s") % near)
        if patterns := ", ".join(each.pattern.text for each in registered()[:MOST_PATTERNS]):
            words = {"patterns": patterns}
            missing = _("there is no such room in the database, and none in code (%(patterns)s)")
            return self.refuse(missing % words)
        return self.refuse(_("there is no such room in the database, and none in code"))

    def _may_join(self) -> tuple[Verdict, str]:
        join = _Question(self.user, self.who, "join", self.name, self.scopes)
        join.room = self.room
        join._ask_for_the_right()
        if join.allowed:
            return Verdict.YES, join.reason
        return self.refuse(_("no right to join (%s)") % join.reason)

    # The right: the scopes of the token, then the steps of `user.has_perm(permission, room)`

    def _ask_for_the_right(self) -> None:
        self.ask("scopes", self._is_in_scope)
        if is_personal(self.room):
            self.ask("personal", self._is_own)
            return
        if user_models.decides_itself(type(self.user)):
            self.ask("has_perm", self._user_model)
            return
        self.ask("superuser", self._is_superuser)
        reasons = [self._ask_backend(backend) for backend in auth.get_backends()]
        if not is_listed():
            reasons.append(self._ask_backend(RoomBackend()))
        if self.allowed is None:
            self.refuse(next(filter(None, reasons), _("no rule allows it")))

    def _is_in_scope(self) -> tuple[Verdict, str]:
        if self.scopes is None:
            return Verdict.NO_DECISION, _("no scopes, so no limits")
        scope = f"realtime:{self.action}"
        for_the_room = f"{scope}:{self.name}"
        if Identity(self.user, scopes=self.scopes).permits(self.action, self.name):
            return Verdict.YES, scope if scope in self.scopes else for_the_room
        words = {"scope": scope, "for_the_room": for_the_room}
        return self.refuse(_("the token has neither %(scope)s nor %(for_the_room)s") % words)

    def _is_own(self) -> tuple[Verdict, str]:
        room: Any = self.room
        if owns(self.user, self.action, room):
            return self.allow(_("the personal room of %s") % self.who)
        if owns(self.user, "join", room):
            return self.refuse(_("only the server publishes in a personal room"))
        return self.refuse(_("the personal room of somebody else"))

    def _user_model(self) -> tuple[Verdict, str]:
        method = path(type(self.user).has_perm)
        try:
            answer = self.user.has_perm(self.permission, self.room)
        except Exception as error:
            return self.refuse(raised(method, error))
        verdict, source = only_true(method, answer)
        return self.allow(source) if verdict == Verdict.YES else self.refuse(source)

    def _is_superuser(self) -> tuple[Verdict, str]:
        if not getattr(self.user, "is_superuser", False):
            return Verdict.NO_DECISION, _("%s is not a superuser") % self.who
        if not self.user.is_active:
            return Verdict.NO_DECISION, _("%s is a superuser, but not active") % self.who
        return self.allow(_("%s is a superuser") % self.who)

    def _ask_backend(self, backend: Any) -> str:
        """Ask a backend; return the reason of its refusal, or "" if there is none to give."""
        name = type(backend).__name__
        asked = getattr(type(backend), "has_perm", None)
        is_room_backend = asked in (RoomBackend.has_perm, ModelBackend.has_perm)
        if self.allowed is not None or self.room is None or not is_room_backend:
            self.ask(name, partial(self._backend, backend))
            return ""
        inner = RoomRules(self.user, self.who, self.action, self.room)
        self.allowed, self.reason = inner.allowed, inner.reason
        verdict = {True: Verdict.YES, False: Verdict.NO, None: Verdict.NO_DECISION}[inner.allowed]
        where = path(type(backend)) if is_listed() else _("%s, asked last") % path(type(backend))
        self.rules.append(Rule(name, verdict, where))
        self.rules += [replace(rule, part_of=name) for rule in inner.rules]
        return inner.reason

    def _backend(self, backend: Any) -> tuple[Verdict, str]:
        backend_path = path(type(backend))
        if not hasattr(backend, "has_perm"):
            return Verdict.NO_DECISION, _("%s has no has_perm") % backend_path
        try:
            answer = backend.has_perm(self.user, self.permission, self.room)
            is_yes = bool(answer)
        except PermissionDenied as error:
            return self.refuse(raised(backend_path, error))
        except Exception as error:
            return self.refuse(raised(backend_path, error))
        source = answered(backend_path, answer)
        return self.allow(source) if is_yes else (Verdict.NO_DECISION, source)

    def _check_time(self, seconds: float) -> None:
        most = realtime_settings.RIGHTS_SECONDS
        if self.allowed and self.action in GRANTED and seconds > most:
            words = {"seconds": seconds, "most": most}
            source = _("took %(seconds).1f s, and RIGHTS_SECONDS allows %(most).1f s") % words
            self.rules.append(Rule("time", *self.refuse(source)))


_SENTENCES = {
    ("join", True): gettext_lazy("%(user)s may join %(room)s: %(reason)s."),
    ("join", False): gettext_lazy("%(user)s may not join %(room)s: %(reason)s."),
    ("publish", True): gettext_lazy("%(user)s may publish in %(room)s: %(reason)s."),
    ("publish", False): gettext_lazy("%(user)s may not publish in %(room)s: %(reason)s."),
    ("moderate", True): gettext_lazy("%(user)s may moderate %(room)s: %(reason)s."),
    ("moderate", False): gettext_lazy("%(user)s may not moderate %(room)s: %(reason)s."),
}
