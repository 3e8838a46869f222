"""The Django admin: rooms and roles, and a console of who is connected now."""

from .connections import ConnectionAdmin
from .panels import LiveConnectionsMixin
from .rooms import MembershipAdmin, RoomAdmin

__all__ = ["ConnectionAdmin", "LiveConnectionsMixin", "MembershipAdmin", "RoomAdmin"]
