"""The processes that serve connections now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured

from ...exceptions import LayerUnavailable
from ...layers import get_layer
from ...layers.memory import MemoryRoomLayer
from ...server_api.connections import live_processes
from ...version import __version__
from ..tables import counted
from .remarks import Remark

_ABOUT = "processes"


def examine() -> Iterator[Remark]:
    try:
        if isinstance(get_layer(), MemoryRoomLayer):
            return  # this process is another one, and sees nothing of it
        alive = live_processes()
    except (LayerUnavailable, ImproperlyConfigured):
        return  # said of the Redis, or of the settings
    if not alive:
        yield Remark("note", _ABOUT, "No process serves connections.", "Start the server.")
        return
    servers = Counter(each.process.server for each in alive)
    listed = ", ".join(f"{number} of {server}" for server, number in sorted(servers.items()))
    yield Remark("fine", _ABOUT, f"{counted(len(alive), 'process', 'processes')} alive: {listed}.")
    others = {each.process.version for each in alive} - {__version__}
    if others:
        yield Remark(
            "warning",
            _ABOUT,
            f"Some run version {', '.join(sorted(others))}; installed here is {__version__}.",
            "Restart them all after an update.",
        )
