"""Room names, and the rule for valid ones."""

import hashlib
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


PERSONAL = "_user/"
"""What the names of personal rooms begin with. No other room has such a name."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.@-]{1,100}\Z", re.ASCII)


def personal_room(user_id: str) -> str:
    """Return the name of the personal room of a user, whose primary key as text is `user_id`.

    A key that has other characters, or is very long, is replaced by its digest.
    """
    if _PLAIN_KEY.match(user_id) and ".." not in user_id:
        return PERSONAL + user_id
    key = user_id.encode(errors="surrogatepass")
    # Behind a colon, which no plain key has.
    return f"{PERSONAL}:{hashlib.blake2b(key, digest_size=16).hexdigest()}"


def is_personal(name: str) -> bool:
    return name.startswith(PERSONAL)


def check_name(room: str) -> None:
    if not is_room_name(room):
        cure = " Write attributes in single braces: {order.pk}." if "{{" in str(room) else ""
        raise InvalidRoomName(f"{room!r} is not a valid room name. Use {RULE}.{cure}")


def grants_of(room: str) -> str:
    """Return the name under which is stored when grants of `room` were taken back. It is no name of
    a room."""
    return f"grants of {room}"
