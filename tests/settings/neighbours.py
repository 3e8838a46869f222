"""The base settings of the tests with the default limits, and an app with rules that hang."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.slow_code"]
# The publishers are one user, and are to be faster than one user may be.
REALTIME = {"RIGHTS_SECONDS": 1, "COMMANDS_PER_SECOND": 300}
