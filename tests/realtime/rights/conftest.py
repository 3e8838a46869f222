"""Rooms in memory and rooms in code, for the tests of rights."""

import pytest
from django.utils import timezone

from realtime import rooms
from realtime.changes import changes
from realtime.rights import answers, explanation, queries
from realtime.rights.queries import UserInRoom
from realtime.rooms import room_types
from tests.support.explanations import FUTURE


@pytest.fixture
def in_memory(monkeypatch):
    """`in_memory(user, room, ...)` replaces the database by these objects."""
    changes.listen()

    def say(user, room, *, membership=None, in_group=False, permissions=()):
        now = timezone.now()
        expired = membership is not None and (membership.expires_at or FUTURE) < now
        current = None if expired else membership
        room.users_in_room = {user.pk: UserInRoom(current, in_group, frozenset(permissions))}
        found = None if room.archived else room
        for module, name, answer in (
            (answers, "find_room", found),
            (queries, "find_room", found),
            (answers, "reload_user", user),
            (explanation, "reload_user", user),
            (queries, "is_archived", room.archived),
            (queries, "stored_membership", membership),
            (queries, "shared_groups", ["Staff"] if in_group else []),
            (queries, "groups_with", []),
            (queries, "has_directly", bool(permissions)),
        ):
            monkeypatch.setattr(module, name, lambda *args, answer=answer: answer)

    yield say
    changes.stop_listening()


@pytest.fixture
def in_code(monkeypatch):
    """`in_code(can_join=True, ...)` sets the results of the hooks of the rooms `desk/…`."""
    monkeypatch.setattr(room_types, "_types", list(room_types._types))
    answers = {}

    class Desk(rooms.RoomType):
        def can_join(self, user, **captured):
            return give(answers.get("can_join", False))

        async def can_publish(self, user, **captured):
            return give(answers.get("can_publish", True))

        def can_moderate(self, user, **captured):
            return give(answers.get("can_moderate", False))

    def give(answer):
        if isinstance(answer, Exception):
            raise answer
        return answer

    rooms.register("desk/<int:number>")(Desk)
    return answers.update
