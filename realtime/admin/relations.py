"""Related objects in forms and searches, as far as the admin site has an admin for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.widgets import (
    ForeignKeyRawIdWidget,
    ManyToManyRawIdWidget,
    RelatedFieldWidgetWrapper,
)
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Any]
else:
    _Base = object


class RelatedFields(_Base):
    """Chooses the widgets of `related_fields`.

    A field has a search box if the related model is registered on the same admin site, with search
    fields, and may be viewed. Otherwise it takes primary keys. So the form works on sites that
    have no admin of users or groups, and with thousands of them. Fields that a subclass names in
    an option of Django's, such as `raw_id_fields`, are left to that option.
    """

    related_fields: tuple[str, ...] = ()

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        searchable = [
            name
            for name in self._chosen_here()
            if search_fields(self.admin_site, _related(self.model, name), request)
        ]
        return (*super().get_autocomplete_fields(request), *searchable)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if not self._takes_keys(db_field, request) or "widget" in kwargs:
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        kind = ManyToManyRawIdWidget if db_field.many_to_many else ForeignKeyRawIdWidget
        widget = kind(db_field.remote_field, self.admin_site, using=kwargs.get("using"))
        field = super().formfield_for_dbfield(db_field, request, widget=widget, **kwargs)
        if field is None:
            return None
        if isinstance(field.widget, RelatedFieldWidgetWrapper):
            # As with Django's `raw_id_fields`, which have a link of their own.
            field.widget = field.widget.widget
        if not self.admin_site.is_registered(db_field.remote_field.model):
            # There is no list to choose from either.
            several = db_field.many_to_many
            how = _("Enter ids, separated by commas.") if several else _("Enter an id.")
            field.help_text = " ".join(filter(None, [str(field.help_text), how]))
        return field

    def _takes_keys(self, db_field: Field[Any, Any], request: HttpRequest) -> bool:
        is_ours = db_field.name in self._chosen_here()
        return is_ours and db_field.name not in self.get_autocomplete_fields(request)

    def _chosen_here(self) -> list[str]:
        by_site = {
            *self.autocomplete_fields,
            *self.raw_id_fields,
            *self.radio_fields,
            *self.filter_horizontal,
            *self.filter_vertical,
        }
        return [name for name in self.related_fields if name not in by_site]


def search_fields(site: AdminSite, model: type[Model], request: HttpRequest) -> list[str]:
    """Return what the admin of `model` searches; nothing if `request` may not look there."""
    if not site.is_registered(model):
        return []
    model_admin = site.get_model_admin(model)
    is_open = model_admin.has_view_permission(request)
    return list(model_admin.get_search_fields(request)) if is_open else []


def user_search_fields(site: AdminSite, request: HttpRequest, path: str) -> list[str]:
    """Return what a user at `path` is searched by: as in the admin of users, if there is one that
    can be used; else by the username."""
    user_model = get_user_model()
    names = search_fields(site, user_model, request)
    # An admin may search what its own queryset adds, which is not there from another model.
    found = [name for name in names if _is_field(user_model, name)] or [user_model.USERNAME_FIELD]
    return [
        _at(path, name) for name in found if not _is_relation(user_model, name.lstrip(_PREFIXES))
    ]


_PREFIXES = "^=@"


def _at(path: str, name: str) -> str:
    """`^username` becomes `^user__username`."""
    bare = name.lstrip(_PREFIXES)
    return f"{name[: len(name) - len(bare)]}{path}__{bare}"


def _is_field(model: type[Model], name: str) -> bool:
    first = name.lstrip(_PREFIXES).partition("__")[0]
    try:
        return first == "pk" or model._meta.get_field(first) is not None
    except FieldDoesNotExist:
        return False


def _is_relation(model: type[Model], name: str) -> bool:
    """Return whether `name` is a relation itself, which has no text to search."""
    return "__" not in name and name != "pk" and model._meta.get_field(name).is_relation


def _related(model: type[Model], name: str) -> type[Model]:
    field: Any = model._meta.get_field(name)
    related: type[Model] = field.remote_field.model
    return related
