"""The subprotocols of a WebSocket: the form of the protocol that a client asks for.

One may hold a token instead: `bearer.<token>`. It is never selected, and never logged.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

JSON = "realtime.v1"
JSON_NAMES = (JSON, "centrifuge-json")
PROTOBUF = "centrifuge-protobuf"
SPOKEN = (*JSON_NAMES, PROTOBUF)
"""All names. Each path speaks some of them."""

BEARER = "bearer."
_LOGGED = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,23}\Z", re.ASCII)
"""Names that are no tokens, of which some clients make a subprotocol by mistake."""


def bearers(scope: dict[str, Any]) -> list[str]:
    """The tokens that were sent as subprotocols."""
    offered = scope.get("subprotocols", ())
    return [name[len(BEARER) :] for name in offered if name.lower().startswith(BEARER)]


def selected(scope: dict[str, Any], spoken: Collection[str] = SPOKEN) -> str | None:
    """The first of what the client offers that we speak. Without one it is served in JSON."""
    return next((name for name in _offered(scope) if name in spoken), None)


def refusal(scope: dict[str, Any], spoken: Collection[str]) -> str | None:
    """Why a client can't be served: it asks for forms that are not spoken here, and no other."""
    offered = _offered(scope)
    if not offered or selected(scope, spoken) is not None:
        return None
    names = ", ".join(
        repr(name) if _LOGGED.match(name) else f"one of {len(name)} characters"
        for name in offered[:5]
    )
    return (
        f"it asks for the subprotocol {names}, and {scope['path']!r} speaks {', '.join(spoken)}; "
        f"a client that asks for none gets {JSON}"
    )


def _offered(scope: dict[str, Any]) -> list[str]:
    offered = scope.get("subprotocols", ())
    return [name for name in offered if name and not name.lower().startswith(BEARER)]
