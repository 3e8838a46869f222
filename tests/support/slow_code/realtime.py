"""Code of a site that blocks its thread: for a while, or for longer than any test."""

import time
from pathlib import Path

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
    """It waits until a file is there."""
    while not Path(data).exists():
        time.sleep(0.05)
    return data


@rooms.rpc("hung")
def hung(user, data):
    time.sleep(HUNG_SECONDS)
