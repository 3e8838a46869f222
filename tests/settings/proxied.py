"""As the tests' settings, behind a proxy that says who asks, for a site with several origins."""

import os

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

ALLOWED_HOSTS = ["127.0.0.1", "www.example.com"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
CSRF_TRUSTED_ORIGINS = ["https://*.example.net"]
FORCE_SCRIPT_NAME = os.environ.get("SCRIPT_NAME")
REALTIME = {**REALTIME, "ALLOWED_ORIGINS": ["capacitor://localhost"]}
