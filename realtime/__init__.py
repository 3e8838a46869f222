"""Live features for Django sites: rooms over one WebSocket, with Django's own rights."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .publishing import apublish as apublish
    from .publishing import publish as publish

__version__ = "0.1.0"
__all__ = ["apublish", "publish"]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before the settings can be read.
    if name in __all__:
        from . import publishing

        return getattr(publishing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
