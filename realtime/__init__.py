"""Live rooms over WebSockets for Django sites, with Django's own permissions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import DISTRIBUTION as DISTRIBUTION
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .server_api.connections import adisconnect as adisconnect
    from .server_api.connections import anotify as anotify
    from .server_api.connections import arecheck as arecheck
    from .server_api.connections import aunsubscribe as aunsubscribe
    from .server_api.connections import connections as connections
    from .server_api.connections import disconnect as disconnect
    from .server_api.connections import notify as notify
    from .server_api.connections import recheck as recheck
    from .server_api.connections import unsubscribe as unsubscribe
    from .server_api.naming import room_name as room_name
    from .server_api.publishing import apublish as apublish
    from .server_api.publishing import publish as publish
    from .server_api.reading import ahistory as ahistory
    from .server_api.reading import apresence as apresence
    from .server_api.reading import history as history
    from .server_api.reading import presence as presence

_MODULES = {
    "room_name": "naming",
    "publish": "publishing",
    "history": "reading",
    "presence": "reading",
    "disconnect": "connections",
    "unsubscribe": "connections",
    "recheck": "connections",
    "notify": "connections",
    "connections": "connections",
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
    "room_name",
    "unsubscribe",
]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before the settings are ready.
    if name in __all__:
        module = _MODULES.get(name) or _MODULES[name.removeprefix("a")]
        return getattr(import_module(f".server_api.{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
