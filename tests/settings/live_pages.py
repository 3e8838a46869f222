"""As the tests' settings, deployed: no DEBUG, sessions, and static files of which only the hashed
ones are there."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, MIDDLEWARE

DEBUG = False
INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.live_pages"]
MIDDLEWARE = [
    MIDDLEWARE[0],
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *MIDDLEWARE[1:],
    "tests.support.live_pages.policy.policy",
]
ROOT_URLCONF = "tests.support.live_pages.urls"
STATIC_ROOT = os.environ["STATIC_ROOT"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
