"""What an administrator can do to connections. Every action asks for its permission, says what came
of it, and leaves an entry in the admin's log for each person.

Orders are given at once, also with `ATOMIC_REQUESTS`, because the page reports the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..conf import realtime_settings
from ..server_api import connections
from .forms import NoticeForm, ReasonForm
from .listing import Person, wait_until_gone, with_users

NAMES_SHOWN = 5
AnyForm = TypeVar("AnyForm", bound=forms.Form)


class Action(Generic[AnyForm]):
    """One of them. `request` is the administrator's, `persons` are those who were chosen."""

    title: Any
    verb: Any
    """The label on a page that names the subject already."""
    question: Any
    permission = ""
    """Without it, the action is neither offered nor done."""
    form_class: type[AnyForm]

    def is_offered(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)

    def check(self, request: HttpRequest, data: Mapping[str, str]) -> None:
        """Raises `PermissionDenied` for what is asked, before anything else is said of it."""
        if not self.is_offered(request):
            raise PermissionDenied

    def form(
        self, request: HttpRequest, persons: list[Person], data: Any = None, room: str = ""
    ) -> AnyForm | None:
        """What the confirmation asks for, of one `room` if it is named. None if nothing can be
        done to these people."""
        return self.form_class(data)

    def remarks(self, persons: list[Person]) -> list[str]:
        """Of whom the confirmation says that nothing is done to them."""
        return []

    def perform(self, request: HttpRequest, persons: list[Person], data: dict[str, Any]) -> None:
        """Raises `LayerUnavailable`."""
        raise NotImplementedError


class Disconnect(Action[ReasonForm]):
    title = verb = gettext_lazy("Disconnect")
    question = gettext_lazy("These connections will be closed, and do not come back by themselves:")
    permission = "realtime.disconnect_connection"
    form_class = ReasonForm

    def perform(self, request: HttpRequest, persons: list[Person], data: dict[str, Any]) -> None:
        reason = data["reason"]
        for person in with_users(persons):
            _tell_each(
                request,
                person,
                lambda client: connections.disconnect(
                    client=client, reason=reason, on_commit=False
                ),
                lambda clients: _("Disconnected (%s).") % clients + note(reason),
            )
        clients = [client for person in persons for client in person.clients]
        left = len(wait_until_gone(clients))
        if closed := len(clients) - left:
            sentence = ngettext(
                "%(count)d connection of %(people)s was closed.",
                "%(count)d connections of %(people)s were closed.",
                closed,
            )
            messages.success(request, sentence % {"count": closed, "people": names_of(persons)})
        if left:
            sentence = ngettext(
                "%(count)d connection was told to close and is still listed. "
                "One of a process that was killed is listed up to %(seconds)d s longer.",
                "%(count)d connections were told to close and are still listed. "
                "Those of a process that was killed are listed up to %(seconds)d s longer.",
                left,
            )
            seconds = int(realtime_settings.PROCESS_TTL_SECONDS)
            messages.warning(request, sentence % {"count": left, "seconds": seconds})


class Notify(Action[NoticeForm]):
    title = verb = gettext_lazy("Send a notice")
    question = gettext_lazy("The notice will be shown once, at these connections:")
    permission = "realtime.notify_connection"
    form_class = NoticeForm

    def perform(self, request: HttpRequest, persons: list[Person], data: dict[str, Any]) -> None:
        text = data["text"]
        for person in with_users(persons):
            _tell_each(
                request,
                person,
                lambda client: connections.notify(text, client=client, on_commit=False),
                lambda clients: _("Sent a notice (%s): ") % clients + text,
            )
        messages.success(request, _("The notice was sent to %s.") % names_of(persons))


def _tell_each(
    request: HttpRequest,
    person: Person,
    act: Callable[[str], None],
    entry: Callable[[str], str],
) -> None:
    """Act on each connection of a person. If that fails half-way, the log has what was done."""
    done: list[str] = []
    try:
        for client in person.clients:
            act(client)
            done.append(client)
    finally:
        if done:
            log(request, person.logged_as, entry(", ".join(done)))


def log(request: HttpRequest, about: Any, entry: str) -> None:
    """Write into the admin's log what `request` did to a user, a room or a connection."""
    administrator: Any = request.user.pk
    LogEntry.objects.log_actions(administrator, [about], CHANGE, entry)


def note(reason: str) -> str:
    return " " + _("Reason: %s") % reason if reason else ""


def names_of(persons: list[Person], most: int = NAMES_SHOWN) -> str:
    """As in `alice, bob and 3 more`."""
    names = ", ".join(str(person) for person in persons[:most])
    more = len(persons) - most
    return _("%(names)s and %(more)d more") % {"names": names, "more": more} if more > 0 else names
