"""Forms of the confirmation pages, and of the page that explains a right."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import MultipleObjectsReturned, ValidationError
from django.utils.translation import gettext_lazy as _

from .. import names
from ..rights.queries import ACTIONS
from ..server_api.connections import NOTICE_MAX, find_user

REASON_MAX = 100
ONLY_NOW, WITH_ROLE = "now", "role"


class TextField(forms.CharField):
    """As a `CharField`, with line ends that count as one character, as browsers count them."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("The people see this, and the admin log keeps it. May be empty."),
    )


class RoomForm(forms.Form):
    room = forms.ChoiceField(
        label=_("Room"),
        error_messages={
            "invalid_choice": _("There is nobody in this room to whom this can be done.")
        },
    )


class MuteForm(RoomForm):
    reason = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("For the admin log only. May be empty."),
    )


class RemovalForm(RoomForm, ReasonForm):
    how = forms.ChoiceField(
        label=_("For how long"),
        initial=ONLY_NOW,
        widget=forms.RadioSelect,
        choices=[
            (ONLY_NOW, _("Only now: their rights stay, and they may come back")),
            (WITH_ROLE, _("Their role in the room is taken away too")),
        ],
    )
    field_order = ("room", "how", "reason")


class NoticeForm(forms.Form):
    text = TextField(
        label=_("Text"),
        max_length=NOTICE_MAX,
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 4}),
        help_text=_(
            "Plain text, up to 1,000 characters. It is shown once; the admin log keeps it."
        ),
    )


class ExplainForm(forms.Form):
    room = forms.CharField(
        label=_("Room"),
        max_length=names.MAX_LENGTH,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    user = forms.CharField(
        label=_("User"),
        required=False,
        max_length=254,
        help_text=_("A username, an id, or a name in the live list. Empty: not signed in."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    action = forms.ChoiceField(label=_("Action"), choices=[(name, name) for name in ACTIONS])
    scope = forms.CharField(
        label=_("Scope"),
        required=False,
        max_length=1_000,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("The scope claim of the token, as in realtime:join. Empty: it has none."),
    )

    def clean_user(self) -> Any:
        name = self.cleaned_data["user"]
        if not name:
            return AnonymousUser()
        try:
            user = find_user(name)
        except MultipleObjectsReturned as error:
            sentence = _("Several users are called %(name)s. Give an id.")
            raise ValidationError(sentence, params={"name": name}) from error
        if user is None:
            raise ValidationError(_("There is no user %(name)s."), params={"name": name})
        return user
