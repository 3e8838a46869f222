"""The base settings of the tests, with a slow database and a line in the log for each query."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.query_log"]
LOGGING = {
    **LOGGING,
    "loggers": {**LOGGING["loggers"], "tests": {"handlers": ["console"], "level": "INFO"}},
}
