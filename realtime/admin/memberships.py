"""The roles of users in rooms: a list of their own, and a few rows on the page of a room."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..models import Membership, Room
from .deletion import delete_some
from .filters import ShortRelatedFilter
from .relations import RelatedFields, user_search_fields

ROOM = "room__id__exact"
"""The parameter of the list with the key of a room."""


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The roles of one room. A form holds at most `most_rows` of them, because Django refuses forms
    of more than DATA_UPLOAD_MAX_NUMBER_FIELDS fields; a room with more has an empty form to add
    some."""

    most_rows = 50

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        all_rows: Any = self.queryset
        self.row_count = all_rows.count() if self.instance.pk else 0
        if self.is_bound:
            # Those of the page that was sent: by now the room may have more, or fewer.
            self.queryset = all_rows.filter(pk__in=self._sent_keys())
        elif not self.shows_rows:
            self.queryset = all_rows.none()

    @property
    def shows_rows(self) -> bool:
        return self.row_count <= self.most_rows

    def _sent_keys(self) -> list[Any]:
        key = Membership._meta.pk
        sent = []
        for number in range(min(self.initial_form_count(), self.absolute_max)):
            try:
                text = self.data.get(f"{self.add_prefix(number)}-{key.name}")
                sent.append(key.clean(text, None))
            except ValidationError:
                continue  # the form of this row reports it
        return sent

    def clean(self) -> None:
        """Refuse a second membership of a user, also beside rows that the form does not hold.

        Before Django 6.0 the forms of an inline do not check the constraints of the model.
        """
        super().clean()
        forms = {
            user.pk: form
            for form in self.forms
            if form not in self.deleted_forms
            and (user := getattr(form, "cleaned_data", {}).get("user")) is not None
        }
        if self.instance.pk is None or not forms:
            return
        others = Membership.objects.filter(room=self.instance, user__in=forms)
        taken = others.exclude(pk__in=self._sent_keys()).values_list("user", flat=True)
        for form in (forms[user_id] for user_id in taken):
            if not form.errors:
                # Django from 6.0 on may have found it too.
                form.add_error("user", _("This user has a membership in the room already."))


class MembershipInline(RelatedFields, admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    formset = MembershipFormSet
    template = "admin/realtime/room/memberships.html"
    extra = 0
    related_fields = ("user",)
    fields = ("user", "role", "muted", "expires_at")


@admin.register(Membership)
class MembershipAdmin(RelatedFields, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "room", "role", "muted", "expires_at")
    list_filter = ("role", "muted", ("room", ShortRelatedFilter))
    list_select_related = ("user", "room")
    related_fields = ("user", "room")
    date_hierarchy = "created_at"
    actions = ("delete_selected",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        of_users = user_search_fields(self.admin_site, request, "user")
        return ("room__name", "room__title", *of_users)

    @admin.action(permissions=["delete"], description=gettext_lazy("Delete selected memberships"))
    def delete_selected(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        return delete_some(self, request, queryset)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        room = _room(request.GET.get(ROOM))
        context = {"title": _("Memberships in %s") % room} if room else {}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A membership that is added from the list of one room is of this room."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        filters = parse_qs(request.GET.get("_changelist_filters", ""))
        room = _room(next(iter(filters.get(ROOM, [])), None))
        return {"room": room.pk, **initial} if room else initial


def _room(key: str | None) -> Room | None:
    return Room.objects.filter(pk=int(key)).first() if key and key.isdecimal() else None
