"""Code of a site that blocks its thread: for a while, or for longer than any test."""

import time

from realtime import rooms
from tests.support.slow_code import HUNG_SECONDS


@rooms.register("hung/<int:number>")
class HungRoom(rooms.RoomType):
    def can_join(self, user, number):
        time.sleep(HUNG_SECONDS)
        return True


@rooms.register("desk/<int:number>")
class DeskRoom(rooms.RoomType):
    def can_join(self, user, number):
        return True


@rooms.rpc("slow")
def slow(user, data):
    time.sleep(0.5)
    return data


@rooms.rpc("hung")
def hung(user, data):
    time.sleep(HUNG_SECONDS)
