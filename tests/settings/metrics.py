"""The base settings of the tests, with metrics that are written often and a token to read them."""

from tests.settings.base import *  # noqa: F403
from tests.settings.base import REALTIME

REALTIME = {**REALTIME, "PROCESS_TTL_SECONDS": 3, "METRICS_TOKEN": "a-token-of-the-scraper"}
