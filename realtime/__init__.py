"""Live features for Django sites: rooms over one WebSocket, with Django's own rights."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .authority import adisconnect as adisconnect
    from .authority import anotify as anotify
    from .authority import arecheck as arecheck
    from .authority import aunsubscribe as aunsubscribe
    from .authority import disconnect as disconnect
    from .authority import notify as notify
    from .authority import recheck as recheck
    from .authority import unsubscribe as unsubscribe
    from .live_connections import connections as connections
    from .publishing import apublish as apublish
    from .publishing import publish as publish
    from .reading import ahistory as ahistory
    from .reading import apresence as apresence
    from .reading import history as history
    from .reading import presence as presence

_MODULES = {
    "publish": "publishing",
    "history": "reading",
    "presence": "reading",
    "disconnect": "authority",
    "unsubscribe": "authority",
    "recheck": "authority",
    "notify": "authority",
    "connections": "live_connections",
}
__all__ = [
    "adisconnect",
    "ahistory",
    "anotify",
    "apresence",
    "apublish",
    "arecheck",
    "aunsubscribe",
    "connections",
    "disconnect",
    "history",
    "notify",
    "presence",
    "publish",
    "recheck",
    "unsubscribe",
]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before the settings can be read.
    if name in __all__:
        module = _MODULES.get(name) or _MODULES[name.removeprefix("a")]
        return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
