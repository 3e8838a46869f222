"""The base settings of the tests, with all credentials and with rooms in code for the site's staff.

The periodic review is off, so that the tests show what signals report.
"""

from tests.settings.base import INSTALLED_APPS
from tests.settings.cookie import *  # noqa: F403
from tests.settings.cookie import REALTIME

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.staff_rooms"]
REALTIME = {**REALTIME, "RECHECK_SECONDS": 3600}
