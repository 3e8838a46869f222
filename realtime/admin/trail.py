"""Breadcrumbs: the place of a page in the admin, with the markup of this Django."""

from __future__ import annotations

from typing import Any

import django
from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _


def trail(site: AdminSite, opts: Any, *pages: tuple[object, str]) -> dict[str, Any]:
    """The context of `breadcrumbs.html`: home, app, list, then `pages`, each a text and address.
    The last one is this page, and has none."""
    name = f"admin:{opts.app_label}_{opts.model_name}_changelist"
    app = reverse("admin:app_list", args=[opts.app_label], current_app=site.name)
    above = [
        (_("Home"), reverse("admin:index", current_app=site.name)),
        (opts.app_config.verbose_name, app),
        (capfirst(str(opts.verbose_name_plural)), reverse(name, current_app=site.name)),
    ]
    return {"trail": [*above, *pages], "trail_is_list": django.VERSION >= (6, 1)}
