"""As the tests' settings, with an admin that has neither users nor groups."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.bare_admin"]
