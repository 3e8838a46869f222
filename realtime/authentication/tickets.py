"""Single-use tickets: stores an identity when a ticket is given, and restores it later."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

from ..concurrency.batching import BatchedLookup
from ..exceptions import AuthenticationError
from . import users
from .identity import Identity, has_own_rule, password_digest, permitted
from .refusals import outcome
from .verification import together

_FORM = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)


def is_ticket(text: str) -> bool:
    """Return whether a text has the form of a ticket. What else a layer keeps until it is asked for
    once, under names of another form, proves nobody."""
    return _FORM.match(text) is not None


async def redeem(kept: bytes) -> Identity:
    """Return the identity that a ticket was given for. Raises the errors of `authenticate`."""
    return await _tickets.ask(kept, kept)


async def _redeem_many(tickets: list[bytes]) -> list[Identity | Exception]:
    return await together(identities_from_tickets, tickets, asks_site=has_own_rule())


_tickets: BatchedLookup[bytes, Identity] = BatchedLookup(_redeem_many)


def identity_to_ticket(identity: Identity) -> bytes:
    """Return the part of an identity that is stored for its ticket. The token is not stored."""
    return json.dumps(
        {
            "user": identity.user_id,
            "jti": identity.token_id,
            "sid": identity.session_id,
            "session": identity.session_key,
            "scopes": None if identity.scopes is None else sorted(identity.scopes),
            "exp": identity.expires_at,
            "manager": identity.manager,
            "password": password_digest(identity.user),
        }
    ).encode()


def identities_from_tickets(tickets: list[bytes]) -> list[Identity | Exception]:
    kept = [json.loads(ticket) for ticket in tickets]
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for claims in kept:
        keys[_manager(claims)].add(claims["user"])
    known = {name: users.find("pk", of_manager, name) for name, of_manager in keys.items()}
    return [outcome(_identity_from_ticket, claims, known[_manager(claims)]) for claims in kept]


def _manager(claims: dict[str, Any]) -> str:
    name: str = claims.get("manager", "")  # tickets of an older release have none
    return name


def _identity_from_ticket(claims: dict[str, Any], known: dict[str, users.KnownUser]) -> Identity:
    """Return the identity of a redeemed ticket, if its user still exists and is active."""
    found = known.get(claims["user"])
    if found is None:
        raise AuthenticationError("the user no longer exists")
    if password_digest(found.user) != claims["password"]:
        raise AuthenticationError("the password was changed")
    scopes = claims["scopes"]
    return Identity(
        user=permitted(found.user),
        token_id=claims["jti"],
        session_id=claims["sid"],
        session_key=claims.get("session", ""),
        scopes=None if scopes is None else frozenset(scopes),
        expires_at=claims["exp"],
        manager=_manager(claims),
        version=found.version,
    )
