"""Settings of the measured site: production, all features on, no rate limits."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

# `realtime.py` in this folder is found by this app.
INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
REALTIME = {"COMMANDS_PER_SECOND": 0, "BYTES_PER_SECOND": 0, "CONNECTIONS_PER_USER": 0}
