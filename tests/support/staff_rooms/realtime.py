"""Kinds of rooms that a site declares in code: with a rule on a field of the user; with a state."""

from realtime import history, rooms


@rooms.register("desk/<int:number>")
class DeskRoom(rooms.RoomType):
    def can_join(self, user, number):
        return user.is_staff


@rooms.register("counts/<int:number>")
class CountRoom(rooms.RoomType):
    """Its state is how many messages it has had."""

    def can_join(self, user, number):
        return user.is_authenticated

    def can_publish(self, user, number):
        return True

    def get_state(self, user, number):
        return {"count": history(f"counts/{number}").position.offset}
