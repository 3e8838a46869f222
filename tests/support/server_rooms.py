"""The rooms that each user of a site is always in."""

from realtime import user_room


def rooms_of(user):
    return [user_room(user), "lobby"]
