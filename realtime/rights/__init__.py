"""Rights: what may a user do in a room? Every right is asked of Django's `has_perm`."""

from .backend import RoomBackend as RoomBackend

# `explain` prints the path of a backend, and people look for it in their settings.
RoomBackend.__module__ = __name__
