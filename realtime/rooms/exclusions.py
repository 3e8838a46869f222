"""Connections that do not get a message: "not to myself"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

Exclusions = Mapping[str, str]
"""Client ids, each with the digest of the user that it must be of, or "" for any."""

NOBODY: Exclusions = {}
MOST = 100

# A client that is named by a header may have written anything there.
_CLIENT = re.compile(r"[A-Za-z0-9_-]{1,64}(:[0-9a-f]{16})?\Z", re.ASCII)
START, _END = b'{"exclude":"', b'",'
"""What is kept begins like this if somebody is excluded."""


def own(client: str, user_id: str) -> str:
    """Return the exclusion of a client that must be a connection of the user."""
    return f"{client}:{_digest(user_id)}" if client else ""


def with_exclusions(body: bytes, clients: str | Collection[str]) -> bytes:
    """Return the body of a publication that these clients do not get. What is no id is left out.

    Raises `ValueError` if there are more than `MOST`.
    """
    wanted = [clients] if isinstance(clients, str) else list(clients)
    if len(wanted) > MOST:
        raise ValueError(f"exclude takes at most {MOST} clients, and got {len(wanted)}.")
    valid = [client for client in wanted if _CLIENT.match(client)]
    if not valid:
        return body
    return b"%b%b%b%b" % (START, ",".join(valid).encode(), _END, body[1:])


def divide(body: bytes) -> tuple[bytes, Exclusions]:
    """Divide what begins with `START` into the body of the publication and its exclusions."""
    listed, end, rest = body[len(START) :].partition(_END)
    if not end:
        return body, NOBODY
    pairs = (client.partition(":") for client in listed.decode(errors="replace").split(","))
    return b"{" + rest, {client: digest for client, _, digest in pairs}


def is_excluded(exclusions: Exclusions, client: str, user_id: str) -> bool:
    digest = exclusions.get(client)
    return digest is not None and digest in ("", _digest(user_id))


def _digest(user_id: str) -> str:
    key = user_id.encode(errors="surrogatepass")
    return hashlib.blake2b(key, digest_size=8).hexdigest()
