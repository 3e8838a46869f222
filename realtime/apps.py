"""The app config: registers checks and signals, and finds the room types of the site."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class RealtimeConfig(AppConfig):
    name = "realtime"
    label = "realtime"
    verbose_name = _("Realtime")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks
        from .control import signals
        from .transports import logs

        checks.register()
        logs.install()
        signals.connect()
        autodiscover_modules("realtime")
