"""The measured site with its limits on, so wide that nobody is refused, and one feature changed."""

import json
import os

from . import queries
from .site_settings import *  # noqa: F403

REALTIME = {
    # As narrow as it can be: whoever publishes much is also told of to other processes.
    "COMMANDS_PER_SECOND": 500,
    "COMMANDS_BURST": 1_000_000,
    **json.loads(os.environ.get("BENCHMARKS_REALTIME", "{}")),
}
if os.environ.get("BENCHMARKS_LAYER") == "memory":
    CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
queries.watch()
