"""Adds the live connections of a user to the admin page of any user model."""

from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.utils.module_loading import module_has_submodule

from realtime.admin import LiveConnectionsMixin


def show_live_connections(site: admin.AdminSite, model: Any) -> None:
    """Register the admin of `model` again, with the mixin added.

    Does nothing if users have no admin, or if it has the mixin already.
    """
    app = apps.get_app_config(model._meta.app_label)
    # Admin modules are loaded in the order of INSTALLED_APPS; that of `model` may come later.
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
