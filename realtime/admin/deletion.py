"""The pages that ask before a deletion, for rooms with thousands of memberships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import NestedObjects
from django.db import router
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from ..models import Membership, Room

MOST_LISTED = 50
MOST_AT_ONCE = 500


class _WithoutMemberships(NestedObjects):
    def related_objects(self, related_model: Any, related_fields: Any, objs: Any) -> Any:
        found = super().related_objects(related_model, related_fields, objs)
        return found.none() if related_model is Membership else found


def deleted_with_rooms(
    rooms: Sequence[Room], request: HttpRequest, site: AdminSite
) -> tuple[Any, dict[Any, int], set[Any], list[Any]] | None:
    """Return what `ModelAdmin.get_deleted_objects` does, with the memberships as a number; None if
    they are few, and can be listed."""
    memberships = Membership.objects.filter(room__in=rooms).count()
    if memberships <= MOST_LISTED:
        return None
    collector = _WithoutMemberships(using=router.db_for_write(Room), origin=rooms)
    collector.collect(rooms)
    counts: dict[Any, int] = {model: len(found) for model, found in collector.model_objs.items()}
    counts[Membership] = memberships
    names = {model: model._meta.verbose_name_plural for model in counts}
    refused = {model._meta.verbose_name for model in counts if _is_refused(model, request, site)}
    listed = [*collector.nested(_described), f"{capfirst(str(names[Membership]))}: {memberships}"]
    protected = [_described(each) for each in collector.protected]
    return listed, {names[model]: count for model, count in counts.items()}, refused, protected


def _described(thing: Any) -> str:
    return f"{capfirst(str(thing._meta.verbose_name))}: {thing}"


def _is_refused(model: Any, request: HttpRequest, site: AdminSite) -> bool:
    if not site.is_registered(model):
        return False
    return not site.get_model_admin(model).has_delete_permission(request)


def delete_some(model_admin: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """As Django's action, which sends a field for each object: so it can't take too many."""
    if (count := chosen.count()) > MOST_AT_ONCE:
        sentence = _("You have chosen %(count)d. Delete at most %(most)d at once.")
        messages.error(request, sentence % {"count": count, "most": MOST_AT_ONCE})
        return None
    return delete_selected(model_admin, request, chosen)
