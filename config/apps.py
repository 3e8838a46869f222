"""The app of the example site: its demo data, and what it adds to the playground."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "config"
    verbose_name = "Example site"
