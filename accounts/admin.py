"""Puts the live connections of a user on the user's page, whatever the site's user model is."""

from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.utils.module_loading import module_has_submodule

from realtime.admin import LiveConnectionsMixin


def show_live_connections(site: admin.AdminSite, model: Any) -> None:
    """Register the admin of `model` anew, with the mixin in front of its own class.

    Does nothing where there is no admin of users, or one that has the mixin.
    """
    app = apps.get_app_config(model._meta.app_label)
    # The admins of apps are found in the order of INSTALLED_APPS: this one may be before it.
    if app.module is not None and module_has_submodule(app.module, "admin"):
        import_module(f"{app.name}.admin")
    if not site.is_registered(model):
        return
    registered = type(site.get_model_admin(model))
    if issubclass(registered, LiveConnectionsMixin):
        return
    site.unregister(model)
    site.register(model, type(registered.__name__, (LiveConnectionsMixin, registered), {}))


show_live_connections(admin.site, get_user_model())
