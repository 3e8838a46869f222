"""A filter for relations to tables of any size."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import get_model_from_relation
from django.core.exceptions import ValidationError

MOST_LISTED = 50


class ShortRelatedFilter(admin.RelatedFieldListFilter):
    """Lists all related objects while there are few. Of many, it shows only the chosen one, which
    a link or the address has named; the search finds the others."""

    def field_choices(self, field: Any, request: Any, model_admin: Any) -> Any:
        related: Any = get_model_from_relation(field)
        ordering = self.field_admin_ordering(field, request, model_admin)
        objects = related._default_manager.order_by(*ordering) if ordering else None
        objects = related._default_manager.all() if objects is None else objects
        found = list(objects[: MOST_LISTED + 1])
        if len(found) > MOST_LISTED:
            found = self._chosen(related)
        return [(each.pk, str(each)) for each in found]

    def has_output(self) -> bool:
        # Without output, Django would leave the filter out, and list all.
        return bool(self.lookup_val or self.lookup_val_isnull) or super().has_output()

    def _chosen(self, related: Any) -> list[Any]:
        # Django gives a list of values or, before 5.0, one of them.
        values = self.lookup_val if isinstance(self.lookup_val, list) else [self.lookup_val]
        keys = [key for key in values if key]
        try:
            return list(related._default_manager.filter(pk__in=keys))
        except (ValueError, OverflowError, ValidationError):
            return []
