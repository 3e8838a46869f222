"""The example site as it is measured: in production, with all features on and no limit a second."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

# Finds what `realtime.py` beside this file declares.
INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
REALTIME = {"COMMANDS_PER_SECOND": 0, "CONNECTIONS_PER_USER": 0}
