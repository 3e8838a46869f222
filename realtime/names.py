"""Room names: which are allowed, and what they are called in Redis."""

import re

from .exceptions import InvalidRoomName

MAX_LENGTH = 128
# ASCII only: two names that look alike are one name. \Z, because $ lets a newline pass.
_ROOM_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:@/-]*\Z", re.ASCII)

RULE = (
    f"1 to {MAX_LENGTH} ASCII letters, digits and _ - . : @ /, "
    "starting with a letter, a digit, _ or -, without '..' and without '//'"
)


def is_room_name(name: object) -> bool:
    """Whether `name` can be the name of a room. Upper and lower case are different names."""
    return (
        isinstance(name, str)
        and len(name) <= MAX_LENGTH
        and _ROOM_NAME.match(name) is not None
        and ".." not in name
        and "//" not in name
    )


def check_name(room: str) -> None:
    if not is_room_name(room):
        raise InvalidRoomName(f"{room!r} can't be a room: a name is {RULE}.")
