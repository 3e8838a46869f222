"""Tunes the garbage collector: it runs less often, and not over objects that stay anyway."""

from __future__ import annotations

import gc

from ..conf import realtime_settings

_is_tuned = False


def tune() -> None:
    """Tune it once; called with each connection.

    Python examines young objects after every 700 new ones, and a connection makes 170 that stay: if
    many connect at once, a third of the time goes there. And from time to time it examines
    everything, which is mostly Django itself.
    """
    global _is_tuned
    threshold = realtime_settings.COLLECTOR_THRESHOLD
    if _is_tuned or not threshold or not gc.isenabled():
        return
    _is_tuned = True
    gc.collect()
    gc.freeze()
    young, *older = gc.get_threshold()
    gc.set_threshold(max(young, threshold), *older)
