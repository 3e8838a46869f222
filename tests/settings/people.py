"""As the tests' settings, with one of the user models of `tests.support.people`."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.people"]
AUTH_USER_MODEL = f"people.{os.environ['TESTED_USER_MODEL']}"
