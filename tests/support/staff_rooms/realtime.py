"""A kind of room that a site declares in code, with a rule on a field of the user."""

from realtime import rooms


@rooms.register("desk/<int:number>")
class DeskRoom(rooms.RoomType):
    def can_join(self, user, number):
        return user.is_staff
