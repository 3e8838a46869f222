"""Room names, and the rule for valid ones."""

import re

from .exceptions import InvalidRoomName

MAX_LENGTH = 128
# ASCII only, so that different names never look the same. \Z, because $ accepts a final newline.
_ROOM_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:@/-]*\Z", re.ASCII)

RULE = (
    f"1 to {MAX_LENGTH} ASCII letters, digits and _ - . : @ /, "
    "starting with a letter, a digit, _ or -, without '..' and without '//'"
)


def is_room_name(name: object) -> bool:
    """Return whether `name` is a valid room name. Names are case-sensitive."""
    return (
        isinstance(name, str)
        and len(name) <= MAX_LENGTH
        and _ROOM_NAME.match(name) is not None
        and ".." not in name
        and "//" not in name
    )


def check_name(room: str) -> None:
    if not is_room_name(room):
        raise InvalidRoomName(f"{room!r} is not a valid room name. Use {RULE}.")
