"""As the tests' settings, with pages whose HTML is live, and htmx."""

from pathlib import Path

from tests.settings.base import *  # noqa: F403
from tests.settings.base import BASE_DIR, INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.live_html"]
MIDDLEWARE = [*MIDDLEWARE, "tests.support.live_html.policy.policy"]
ROOT_URLCONF = "tests.support.live_html.urls"
MODULES = Path(BASE_DIR) / "tests" / "integration" / "clients" / "node_modules"
STATICFILES_DIRS = [("htmx", MODULES / "htmx.org" / "dist")]
