"""The connection of the page that sends a request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ..rooms.exclusions import own

HEADER = "X-Realtime-Client"


def own_client(request: HttpRequest | Any) -> str:
    """Return the connection that a request names in its header `X-Realtime-Client`, for `exclude`:
    `publish(room, data, exclude=own_client(request))`. "" if it names none.

    Everybody in a room may know the ids of the others. So the exclusion holds only if the
    connection is of the user of the request, who can keep messages from nobody else.
    """
    user_id = getattr(getattr(request, "user", None), "pk", None)
    return own(request.headers.get(HEADER, ""), "" if user_id is None else str(user_id))
