"""Live rooms over WebSockets for Django sites, with Django's own permissions."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import DISTRIBUTION as DISTRIBUTION
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .broadcasting.bulk import broadcast as broadcast
    from .broadcasting.declarations import broadcasts as broadcasts
    from .fragments.publishing import apublish_html as apublish_html
    from .fragments.publishing import publish_html as publish_html
    from .server_api.clients import own_client as own_client
    from .server_api.connections import adisconnect as adisconnect
    from .server_api.connections import anotify as anotify
    from .server_api.connections import arecheck as arecheck
    from .server_api.connections import aunsubscribe as aunsubscribe
    from .server_api.connections import connections as connections
    from .server_api.connections import disconnect as disconnect
    from .server_api.connections import notify as notify
    from .server_api.connections import recheck as recheck
    from .server_api.connections import unsubscribe as unsubscribe
    from .server_api.granting import arevoke as arevoke
    from .server_api.granting import grant as grant
    from .server_api.granting import revoke as revoke
    from .server_api.naming import room_name as room_name
    from .server_api.personal import apublish_to_user as apublish_to_user
    from .server_api.personal import publish_to_user as publish_to_user
    from .server_api.personal import user_room as user_room
    from .server_api.publishing import apublish as apublish
    from .server_api.publishing import publish as publish
    from .server_api.reading import ahistory as ahistory
    from .server_api.reading import apresence as apresence
    from .server_api.reading import history as history
    from .server_api.reading import presence as presence

_MODULES = {
    "publish": "server_api.publishing",
    "history": "server_api.reading",
    "presence": "server_api.reading",
    "disconnect": "server_api.connections",
    "unsubscribe": "server_api.connections",
    "recheck": "server_api.connections",
    "notify": "server_api.connections",
    "connections": "server_api.connections",
    "broadcasts": "broadcasting.declarations",
    "broadcast": "broadcasting.bulk",
    "publish_html": "fragments.publishing",
    "room_name": "server_api.naming",
    "grant": "server_api.granting",
    "revoke": "server_api.granting",
    "own_client": "server_api.clients",
    "publish_to_user": "server_api.personal",
    "user_room": "server_api.personal",
}
__all__ = [
    "adisconnect",
    "ahistory",
    "anotify",
    "apresence",
    "apublish",
    "apublish_html",
    "apublish_to_user",
    "arecheck",
    "arevoke",
    "aunsubscribe",
    "broadcast",
    "broadcasts",
    "connections",
    "disconnect",
    "grant",
    "history",
    "notify",
    "own_client",
    "presence",
    "publish",
    "publish_html",
    "publish_to_user",
    "recheck",
    "revoke",
    "room_name",
    "unsubscribe",
    "user_room",
]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before the settings are ready.
    if name in __all__:
        module = _MODULES.get(name) or _MODULES[name.removeprefix("a")]
        return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
