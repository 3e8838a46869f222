"""As the tests' settings, with pages for sessions. With a `DEPLOYED_ROOT` they are deployed: no
DEBUG, and static files of which only the hashed ones are there."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, MIDDLEWARE, STATIC_ROOT

DEBUG = "DEPLOYED_ROOT" not in os.environ
STATIC_ROOT = os.environ.get("DEPLOYED_ROOT") or STATIC_ROOT
INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.live_pages"]
MIDDLEWARE = [
    MIDDLEWARE[0],
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *MIDDLEWARE[1:],
    "tests.support.live_pages.policy.policy",
]
ROOT_URLCONF = "tests.support.live_pages.urls"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
