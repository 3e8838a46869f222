"""Settings of the measured site with limits that refuse nobody, and one feature changed."""

import json
import os

from . import queries
from .site_settings import *  # noqa: F403

REALTIME = {
    # Low enough that the use of busy publishers is also shared with other processes.
    "COMMANDS_PER_SECOND": 500,
    "COMMANDS_BURST": 1_000_000,
    "BYTES_BURST": 1_000_000_000,
    **json.loads(os.environ.get("BENCHMARKS_REALTIME", "{}")),
}
if os.environ.get("BENCHMARKS_LAYER") == "memory":
    CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
queries.watch()
