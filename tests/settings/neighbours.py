"""The base settings of the tests with the default limits, an app with rules that hang, and several
Redis (`REDIS_URL`, divided by commas)."""

import os

from tests.delivery.logs import FORMAT
from tests.settings.base import *  # noqa: F403
from tests.settings.base import CHANNEL_LAYERS, INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.slow_code"]
# The publishers are one user, and are to be faster than one user may be.
REALTIME = {"RIGHTS_SECONDS": 1, "COMMANDS_PER_SECOND": 300}
CHANNEL_LAYERS["default"]["CONFIG"]["hosts"] = os.environ["REDIS_URL"].split(",")
LOGGING["formatters"]["line"]["format"] = FORMAT
