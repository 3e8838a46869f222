"""Sign-in over HTTP, for sites that do not have it yet."""

from django.apps import AppConfig
from django.core import checks as django_checks


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from . import checks

        django_checks.register(checks.check_blacklist)
        django_checks.register(checks.check_proxies, deploy=True)
