"""The app config of the playground."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PlaygroundConfig(AppConfig):
    name = "realtime.playground"
    # A site may have an app of its own that is called "playground".
    label = "realtime_playground"
    verbose_name = _("Realtime playground")
