"""As the tests' settings, with all credentials and with rooms in code for the site's staff.

The rights are not checked anew by themselves: what is found is what was told.
"""

from tests.cookie_settings import *  # noqa: F403
from tests.cookie_settings import REALTIME
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.staff_rooms"]
REALTIME = {**REALTIME, "RECHECK_SECONDS": 3600}
