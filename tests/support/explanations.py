"""Helpers for tests of explanations: the live answer, and the rules of an explanation."""

import itertools
from datetime import UTC, datetime

from realtime.authentication import Identity
from realtime.changes import changes
from realtime.models import Membership
from realtime.rights import answers, backend, grants
from realtime.rights.explanation import explain
from realtime.rooms import room_types

PAST = datetime(2024, 2, 1, 9, 30, tzinfo=UTC)


FUTURE = datetime(2124, 2, 1, 9, 30, tzinfo=UTC)


ROLES = [(None, False, False), *itertools.product(Membership.Role.values, *[(False, True)] * 2)]


def live(user, name, action, scopes=None):
    """Return whether a connection of `user` may do `action`."""
    scopes = None if scopes is None else frozenset(scopes.split())
    identity = Identity(user, scopes=scopes, version=changes.version)
    if action in answers.GRANTED:
        return action in grants.grant(identity, name).actions
    room = room_types.find_in_code(name) or answers.find_room(user, name)
    if room is None or not identity.permits(action, name):
        return False
    return backend.may(user, action, room)


def rules(explained):
    """The verdict of each rule."""
    return {rule.name: str(rule.verdict) for rule in explained.rules}


def sources(explained):
    return {rule.name: rule.source for rule in explained.rules}


def verdicts(alice, name, action="join"):
    """The verdicts of the rules of `RoomBackend`, in their order."""
    return [str(rule.verdict) for rule in explain(alice, name, action).rules if rule.part_of]
