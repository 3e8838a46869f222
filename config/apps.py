"""The example site as an app, for its demo data and its page."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "config"
    verbose_name = "Example site"
