"""Live features for Django sites: rooms over one WebSocket, with Django's own rights."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .publishing import apublish as apublish
    from .publishing import publish as publish
    from .reading import ahistory as ahistory
    from .reading import apresence as apresence
    from .reading import history as history
    from .reading import presence as presence

__version__ = "0.1.0"
__all__ = ["ahistory", "apresence", "apublish", "history", "presence", "publish"]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before the settings can be read.
    if name in __all__:
        from . import publishing, reading

        return getattr(publishing if name.endswith("publish") else reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
