"""Rights of users in rooms: decided by Django's authentication backends and the rules of rooms."""

from .backend import ModelBackend as ModelBackend
from .backend import RoomBackend as RoomBackend

# `explain` prints the path of a backend; it must be the one that people have in their settings.
ModelBackend.__module__ = RoomBackend.__module__ = __name__
