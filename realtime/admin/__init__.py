"""The Django admin: rooms and roles, and a console of who is connected now."""

from .connections import ConnectionAdmin
from .memberships import MembershipAdmin
from .panels import LiveConnectionsMixin
from .rooms import RoomAdmin

__all__ = ["ConnectionAdmin", "LiveConnectionsMixin", "MembershipAdmin", "RoomAdmin"]
