"""The example site as the tests run it: fast passwords, no throttle, from one address."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_DEBUG", "1")

from config.settings import *  # noqa: F403
from config.settings import DATABASES, REST_FRAMEWORK

# Of this process alone, so that two runs at the same time don't meet. In memory, SQLite does not
# wait for another thread.
DATABASES["default"]["TEST"] = {
    "NAME": Path(tempfile.gettempdir()) / f"realtime-test-{os.getpid()}.sqlite3"
}
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {
    **REST_FRAMEWORK,
    "DEFAULT_THROTTLE_RATES": {"token": "10000/min", "realtime_ticket": "10000/min"},
}

# Tests send as fast as they can, from as many connections as they like; those of the limits set
# them again.
REALTIME = {"COMMANDS_PER_SECOND": 0, "BYTES_PER_SECOND": 0, "CONNECTIONS_PER_USER": 0}
