"""The garbage collector of a process that serves: less often, and not over what stays anyway."""

from __future__ import annotations

import gc

from ..conf import realtime_settings

_is_tuned = False


def tune() -> None:
    """Called with each connection, does it once.

    Python looks through young objects after every 700 new ones, and a connection makes 170 that
    stay: where many come at once, a third of the time goes there. And from time to time it looks
    through everything, which is Django itself for the most part.
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
