"""Room types as a site writes them that checks its types strictly."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from realtime import room_name, rooms


@rooms.register("typed/<int:pk>")
class OrderRoom(rooms.RoomType):
    """The talk about one order."""

    model = User
    history_size = 50
    rights_depend_on = {
        LogEntry: lambda entry: {"pk": entry.user_id},
        "auth.Group": lambda row: None,
    }
    presence = True

    def can_join(self, user: User, pk: int) -> bool:
        return user.is_staff

    async def can_publish(self, user: User, pk: int) -> bool:
        return user.is_staff

    def on_publish(self, user: User, data: Any, pk: int) -> dict[str, str]:
        return {"text": str(data)}

    def on_join(self, user: User, pk: int) -> None:
        pass

    async def on_leave(self, user: User, pk: int) -> None:
        pass

    def get_state(self, user: User, pk: int) -> dict[str, int]:
        return {"pk": pk}

    @rooms.rpc
    def close(self, user: User, data: Any, pk: int) -> bool:
        return user.is_staff

    @rooms.rpc(right="publish")
    async def rename(self, user: User, data: Any, pk: int, client: str) -> None:
        await self.can_publish(user, pk)


class StaffRoom(OrderRoom):
    def can_moderate(self, user: User, pk: int) -> bool:
        return self.can_join(user, pk)


NAME: str = OrderRoom.name(pk=42)


def name_of(user: User) -> str:
    return room_name(user)


@rooms.rpc("typed.count")
def count(user: User, data: Any) -> int:
    return 1


def counted(user: User) -> int:
    return count(user, None)
