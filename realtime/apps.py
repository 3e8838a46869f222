"""The app config: registers checks and signals, and finds the room types of the site."""

import sys

from django.apps import AppConfig
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

# Another distribution on PyPI has this import name too. It overwrites others, but not this file.
if not hasattr(sys.modules[__package__], "DISTRIBUTION"):
    raise ImproperlyConfigured(
        "Another distribution has overwritten files of the package `realtime`. Run `pip uninstall "
        "realtime django-realtime-rooms`, and install django-realtime-rooms again."
    )


class RealtimeConfig(AppConfig):
    name = "realtime"
    label = "realtime"
    verbose_name = _("Realtime")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks
        from .broadcasting import checks as broadcasting_checks
        from .broadcasting import watching
        from .control import dependencies, signals
        from .transports import logs

        checks.register()
        django_checks.register(broadcasting_checks.check_broadcasts)
        logs.install()
        signals.connect()
        watching.start()
        autodiscover_modules("realtime")
        dependencies.connect()
