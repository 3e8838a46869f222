"""Explains the answer of `RoomBackend`, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from .. import rooms
from ..models import Membership, Room
from ..rooms.definitions import is_own
from ..rooms.finding import AnyRoom
from . import queries
from .backend import ACTIONS, Decision, ask_for_all_rooms, ask_hook, decide
from .verdicts import Inquiry, Rule, Verdict, only_true, path, raised

_ORDER = ("membership", "groups", "access")


class RoomRules(Inquiry):
    """The rules of `rights.RoomBackend` for one user and one room.

    `allowed` stays None if the backend returns False, because the next backend is asked then.
    `reason` is the reason for the False.
    """

    def __init__(self, user: Any, who: str, action: str, room: AnyRoom) -> None:
        super().__init__(user, who, action)
        self._expired = ""
        if not user.is_active and not user.is_anonymous:
            self.rules.append(Rule("active", Verdict.NO, _("%s is not active") % who))
        elif isinstance(room, rooms.CodeRoom):
            self._ask_hooks(room)
            self.ask("permission", self._covering_permission(None))
        else:
            self._ask_room(room, decide(user, room))
            self.ask("permission", self._covering_permission(room))
        if self.allowed is None:
            refusals = [rule.source for rule in self.rules if rule.verdict == Verdict.NO]
            self.reason = "; ".join([*refusals[:1], *filter(None, [self._expired])])

    # A room of the database

    def _ask_room(self, room: Room, decision: Decision) -> None:
        decisive = _ORDER.index(decision.rule)
        for rule in _ORDER[:decisive]:
            self.rules.append(Rule(rule, Verdict.NO_DECISION, self._why_undecided(rule, room)))
        given = self.action in decision.given
        source = self._source(decision, room)
        self.rules.append(Rule(decision.rule, Verdict.YES if given else Verdict.NO, source))
        self.rules += [Rule(rule) for rule in _ORDER[decisive + 1 :]]
        self.rules.append(self._publishing(decision, room))
        if self.action in decision.actions:
            self.allow(source)

    def _why_undecided(self, rule: str, room: Room) -> str:
        if self.user.is_anonymous:
            return _("nobody is signed in")
        if rule == "groups":
            return _("%s is in none of the room's groups") % self.who
        stored = queries.stored_membership(self.user, room)
        if stored is None:
            return _("%(user)s has no role in %(room)s") % {"user": self.who, "room": room.name}
        self._expired = _("role %(role)s, expired %(when)s, so it has no effect") % {
            "role": stored.get_role_display(),
            "when": _moment(stored.expires_at),
        }
        return self._expired

    def _source(self, decision: Decision, room: Room) -> str:
        origin = self._origin(decision.rule, room)
        if self.action in decision.given or not decision.given:
            return origin
        if self.user.is_anonymous:
            return _("%s, but this needs a user who is signed in") % origin
        given = _(" and ").join(action for action in ACTIONS if action in decision.given)
        words = {"origin": origin, "given": given, "action": self.action}
        return _("%(origin)s: that gives %(given)s, not %(action)s") % words

    def _origin(self, rule: str, room: Room) -> str:
        if rule == "membership":
            membership: Any = queries.user_in_room(self.user, room).membership
            return _role(membership)
        if rule == "groups":
            return _("in the room's group %s") % ", ".join(queries.shared_groups(self.user, room))
        if room.access == Room.Access.MEMBERS:
            return _("only members and the room's groups may enter")
        return _("%s may enter") % room.get_access_display()

    def _publishing(self, decision: Decision, room: Room) -> Rule:
        if self.action != "publish" or "publish" not in decision.given:
            return Rule("publishing")
        verdict = Verdict.YES if "publish" in decision.actions else Verdict.NO
        return Rule("publishing", verdict, _("who may publish: %s") % room.get_publishing_display())

    # A room in code

    def _ask_hooks(self, room: rooms.CodeRoom) -> None:
        hooks = list(dict.fromkeys(("can_join", f"can_{self.action}")))
        for number, hook in enumerate(hooks):
            verdict, source = self._hook(hook, room)
            self.rules.append(Rule(hook, verdict, source))
            if verdict == Verdict.NO:
                self.rules += [Rule(later) for later in hooks[number + 1 :]]
                return
        self.allow(source)

    def _hook(self, name: str, room: rooms.CodeRoom) -> tuple[Verdict, str]:
        if name == "can_join" and not is_own(type(room.type), rooms.RoomType, name):
            missing = _("%s has no can_join, and without one nobody enters")
            return Verdict.NO, missing % path(type(room.type))
        hook = f"{path(type(room.type))}.{name}"
        try:
            answer = ask_hook(name, self.user, room)
        except DatabaseError as error:
            # A connection has to try again later, so no other rule can allow it now.
            return self.refuse(raised(hook, error))
        except Exception as error:
            return Verdict.NO, raised(hook, error)
        return only_true(hook, answer)

    # A permission that covers all rooms

    def _covering_permission(self, room: Room | None) -> Callable[[], tuple[Verdict, str]]:
        """Return a rule that asks the backends like `rights.covers_all_rooms`."""

        def ask() -> tuple[Verdict, str]:
            if self.user.is_anonymous:
                return Verdict.NO_DECISION, _("nobody is signed in")
            for backend in auth.get_backends():
                if not hasattr(backend, "has_perm"):
                    continue
                try:
                    given = ask_for_all_rooms(backend, self.user, self.permission, room)
                except PermissionDenied as error:
                    return Verdict.NO, raised(path(type(backend)), error)
                except Exception as error:
                    return self.refuse(raised(path(type(backend)), error))
                if given is True:
                    return self.allow(self._source_of_permission(backend))
            words = {"user": self.who, "permission": self.permission}
            missing = _("%(user)s has %(permission)s neither directly nor from a group") % words
            return Verdict.NO_DECISION, missing

        return ask

    def _source_of_permission(self, backend: Any) -> str:
        words = {"user": self.who, "permission": self.permission, "backend": path(type(backend))}
        if isinstance(backend, ModelBackend):
            if groups := queries.groups_with(self.user, self.permission):
                words["groups"] = ", ".join(groups)
                return _("%(permission)s from group %(groups)s") % words
            if queries.has_directly(self.user, self.permission):
                return _("%(permission)s given to %(user)s directly") % words
        return _("%(backend)s gives %(permission)s") % words


def _role(membership: Membership) -> str:
    words = [_("role %s") % membership.get_role_display()]
    if membership.muted:
        words.append(_("muted"))
    if membership.expires_at is not None:
        words.append(_("until %s") % _moment(membership.expires_at))
    return ", ".join(words)


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return ""
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return f"{date_format(local, 'Y-m-d H:i')} {local.tzname() or ''}".strip()
