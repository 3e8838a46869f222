import pytest

from realtime import checks, rooms
from realtime.rooms import room_types
from tests.support.checking import ids


@pytest.fixture
def no_types(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])


def test_a_room_type_that_nobody_may_enter(no_types):
    @rooms.register("open/<int:pk>")
    class Open(rooms.RoomType):
        def can_join(self, user, pk):
            return True

    assert ids(checks.check_room_types()) == []

    @rooms.register("shut/<int:pk>")
    class Shut(rooms.RoomType):
        history_size = 10

    (warning,) = checks.check_room_types()
    assert warning.id == "realtime.W021"
    assert "'shut/<int:pk>'" in warning.msg
    assert "Shut" in warning.hint
