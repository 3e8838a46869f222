"""Who may follow the stock."""

from realtime import rooms


class Open(rooms.RoomType):
    def can_join(self, user, **captured):
        return user.is_authenticated and user.username != "carol"

    def can_publish(self, user, **captured):
        return True


@rooms.register("stock/<int:pk>")
class ProductRoom(Open):
    pass


@rooms.register("stock")
class StockRoom(Open):
    history_size = 20
