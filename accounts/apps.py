"""Sign-in over HTTP, for sites that do not have it yet."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
