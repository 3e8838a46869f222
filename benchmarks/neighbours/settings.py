"""Settings of the attacked site: the limits of the package, and code that blocks its thread."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.slow_code"]
REALTIME: dict[str, object] = {}
