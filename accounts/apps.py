"""The HTTP side of identity, for sites that have none yet."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
