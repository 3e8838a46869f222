"""The async twins of orders: they wait for the transaction of the sync code that calls them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from asgiref.sync import sync_to_async

from .outgoing import is_in_transaction

Params = ParamSpec("Params")


def twin(order: Callable[Params, None]) -> Callable[Params, Coroutine[Any, Any, None]]:
    """Return the form of `order` for coroutines. It takes `on_commit` and `using`.

    The transaction is that of the thread in which Django runs sync code for the coroutine. Redis is
    waited for in another thread, so that it holds up no sync code.
    """

    async def ordered(*args: Params.args, **kwargs: Params.kwargs) -> None:
        if kwargs.get("on_commit", True) and await sync_to_async(keep)(args, kwargs):
            return
        at_once: dict[str, Any] = {**kwargs, "on_commit": False}
        await sync_to_async(order, thread_sensitive=False)(*args, **at_once)

    def keep(args: Any, kwargs: Any) -> bool:
        """Give the order until the commit, if there is a transaction. Return whether there is."""
        if not is_in_transaction(kwargs.get("using")):
            return False
        order(*args, **kwargs)
        return True

    ordered.__name__ = ordered.__qualname__ = f"a{order.__name__}"
    ordered.__doc__ = f"As `{order.__name__}`, for coroutines."
    return ordered
