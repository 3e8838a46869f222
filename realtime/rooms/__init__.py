"""Rooms: those in the database, and the room types that a site declares in code.

A site declares room types in `<app>/realtime.py`, which is discovered like `admin.py`:

    from realtime import rooms

    @rooms.register("orders/<int:pk>")
    class OrderRoom(rooms.RoomType):
        def can_join(self, user, pk):
            return Order.objects.filter(pk=pk, customer=user).exists()
"""

from ..exceptions import Rejected as Rejected
from .handlers import on_send as on_send
from .handlers import rpc as rpc
from .room_types import CodeRoom as CodeRoom
from .room_types import RoomType as RoomType
from .room_types import register as register
