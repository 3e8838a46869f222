"""The app config: registers checks and signals, and finds the room types of the site."""

from django.apps import AppConfig
from django.core import checks as django_checks
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

        django_checks.register(checks.check_settings)
        django_checks.register(checks.check_origins)
        django_checks.register(checks.check_stateless_users)
        django_checks.register(checks.check_backend)
        django_checks.register(checks.check_middleware)
        django_checks.register(checks.check_sessions)
        django_checks.register(checks.check_user_model)
        django_checks.register(checks.check_layer)
        django_checks.register(checks.check_deployment, deploy=True)
        logs.install()
        signals.connect()
        autodiscover_modules("realtime")
