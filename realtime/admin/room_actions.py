"""Actions on the people in one room, for users who may moderate that room."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import user_models
from ..models import Membership, Room
from ..rights import queries
from ..rights.backend import may
from ..rights.explanation import explain
from ..rooms import finding
from ..rooms.finding import AnyRoom
from ..rooms.room_types import find_in_code
from ..server_api import connections
from .actions import Action, log, names_of, note
from .forms import WITH_ROLE, MuteForm, RemovalForm, RoomForm
from .listing import Listing, Person, with_users


class RoomAction(Action[RoomForm]):
    permission = "realtime.moderate_room"

    def is_offered(self, request: HttpRequest) -> bool:
        """Return whether the user may moderate any of the rooms that people are in."""
        known: bool | None = getattr(request, "_realtime_moderates", None)
        if known is None:
            connections = Listing.of(request).connections
            names = {name for connection in connections for name in connection.rooms}
            known = super().is_offered(request) or bool(moderated(request.user, names))
            request._realtime_moderates = known  # type: ignore[attr-defined]
        return known

    def check(self, request: HttpRequest, data: Mapping[str, str]) -> None:
        super().check(request, data)
        name = data.get("room", "")
        if name and not may_moderate(request.user, name):
            raise PermissionDenied

    def form(
        self, request: HttpRequest, persons: list[Person], data: Any = None, room: str = ""
    ) -> RoomForm | None:
        names = {name for person in persons for name in person.rooms if room in ("", name)}
        choices = []
        for name, found in sorted(moderated(request.user, names).items()):
            if concerned := self._concerned(persons, found):
                choices.append((name, f"{name}: {names_of(concerned)}"))
        if not choices and data is None:
            return None
        form = self.form_class(data)
        form.fields["room"].choices = choices  # type: ignore[attr-defined]
        return form

    def _concerned(self, persons: list[Person], room: AnyRoom) -> list[Person]:
        return [person for person in persons if room.name in person.rooms]


class Mute(RoomAction):
    title = gettext_lazy("Mute in a room")
    verb = gettext_lazy("Mute")
    question = gettext_lazy(
        "These people will read on in the room, and may no longer publish. Who has no role there "
        "gets one: member, muted. To let them publish again, take “muted” off their role."
    )
    form_class = MuteForm

    def form(
        self, request: HttpRequest, persons: list[Person], data: Any = None, room: str = ""
    ) -> RoomForm | None:
        return super().form(request, with_users(persons), data, room)

    def remarks(self, persons: list[Person]) -> list[str]:
        sentence = _("%s can't be muted: superusers may publish everywhere, whatever their role.")
        return [sentence % person for person in persons if person.is_superuser]

    def perform(self, request: HttpRequest, persons: list[Person], data: dict[str, Any]) -> None:
        name, reason = data["room"], data["reason"]
        targets = with_users(
            [person for person in persons if person.user_id and name in person.rooms]
        )
        room = _with_standings(name, targets)
        if room is None:
            messages.warning(request, _("There is no room %s any more.") % name)
            return
        muted = []
        for person in targets:
            if obstacle := _obstacle(person, room):
                words = {"user": person, "obstacle": obstacle}
                messages.warning(request, _("%(user)s was not muted: %(obstacle)s.") % words)
            else:
                _mute(request, person, room, reason)
                muted.append(person)
        if muted:
            log(request, room, _("Muted: %s.") % names_of(muted, len(muted)) + note(reason))
            words = {"people": names_of(muted), "room": name}
            messages.success(request, _("Muted in %(room)s: %(people)s.") % words)
            sentence = _("%(user)s may publish nevertheless: %(reason)s.")
            _warn_of_other_rules(request, muted, name, "publish", sentence)

    def _concerned(self, persons: list[Person], room: AnyRoom) -> list[Person]:
        # A room in code has no roles, and who is not signed in publishes nowhere.
        if not isinstance(room, Room):
            return []
        concerned = super()._concerned(persons, room)
        return [person for person in concerned if person.user_id and not person.is_superuser]


class Remove(RoomAction):
    title = gettext_lazy("Remove from a room")
    verb = gettext_lazy("Remove")
    question = gettext_lazy("These people will be taken out of the room, with all connections:")
    form_class = RemovalForm

    def perform(self, request: HttpRequest, persons: list[Person], data: dict[str, Any]) -> None:
        name, reason = data["room"], data["reason"]
        room = finding.find(name)
        removed: list[Person] = []
        try:
            for person in with_users([each for each in persons if name in each.rooms]):
                if data["how"] == WITH_ROLE and person.user is not None:
                    _take_role(request, person, name)
                # Nobody is named by "" and None together: that would be everybody.
                client = "" if person.user_id else person.clients[0]
                connections.unsubscribe(
                    name, person.user_id or None, client=client, reason=reason, on_commit=False
                )
                removed.append(person)
                entry = _("Removed from the room %s.") % name
                log(request, person.logged_as, entry + note(reason))
        finally:
            if removed and isinstance(room, Room):
                entry = _("Removed: %s.") % names_of(removed, len(removed))
                log(request, room, entry + note(reason))
        words = {"people": names_of(removed), "room": name}
        messages.success(request, _("Removed from %(room)s: %(people)s.") % words)
        if data["how"] == WITH_ROLE:
            sentence = _("%(user)s may come back: %(reason)s.")
            _warn_of_other_rules(request, removed, name, "join", sentence)


def may_moderate(user: Any, name: str) -> bool:
    room = finding.find(name)
    if room is None:
        # That there is no such room, those hear who may moderate every room.
        return bool(user.has_perm(RoomAction.permission))
    return may(user, "moderate", room)


def moderated(user: Any, names: Collection[str]) -> dict[str, AnyRoom]:
    """Those of these rooms that `user` may moderate."""
    in_code = {name: room for name in names if (room := find_in_code(name))}
    stored = queries.find_rooms([name for name in names if name not in in_code], [user.pk])
    found: dict[str, AnyRoom] = {**in_code, **stored}
    return {name: room for name, room in found.items() if may(user, "moderate", room)}


def _obstacle(person: Person, room: Room) -> str:
    """Why a muted role would have no effect, or too much; "" if there is no reason."""
    user = person.user
    if user is None:
        return _("the user has been deleted")
    if person.is_superuser:
        return _("superusers may publish everywhere, whatever their role")
    if user_models.has_perm(user, "realtime.publish_room"):
        return _("who may publish in every room may do so whatever the role")
    membership = queries.user_in_room(user, room).membership
    if membership is not None and membership.muted:
        return _("they are muted already")
    if membership is None and not may(user, "join", room):
        return _("they may not be in the room any more, and a role would let them in")
    return ""


def _mute(request: HttpRequest, person: Person, room: Room, reason: str) -> None:
    role = {"role": Membership.Role.MEMBER, "muted": True}
    with transaction.atomic():
        membership, is_new = Membership.objects.get_or_create(
            room=room, user=person.user, defaults=role
        )
        if not is_new:
            if not Membership.objects.current().filter(pk=membership.pk).exists():
                # It counts for nothing, so it is something else that lets them in.
                membership.role, membership.expires_at = Membership.Role.MEMBER, None
            membership.muted = True
            membership.save()
        log(request, person.logged_as, _("Muted in the room %s.") % room.name + note(reason))


def _take_role(request: HttpRequest, person: Person, name: str) -> None:
    with transaction.atomic():
        for membership in Membership.objects.filter(room__name=name, user=person.user):
            membership.delete()
            words = {"role": membership.get_role_display(), "room": name}
            entry = _("Took the role away: %(role)s in the room %(room)s.") % words
            log(request, person.logged_as, entry)


def _warn_of_other_rules(
    request: HttpRequest, persons: list[Person], name: str, action: str, sentence: str
) -> None:
    """Say of whom what was done to the role is not the end of it."""
    room = _with_standings(name, persons)
    for person in persons:
        if room is not None and person.user and may(person.user, action, room):
            reason = explain(person.user, name, action).reason
            messages.warning(request, sentence % {"user": person, "reason": reason})


def _with_standings(name: str, persons: list[Person]) -> Room | None:
    users = [person.user.pk for person in persons if person.user is not None]
    return queries.find_rooms([name], users).get(name)
