"""The signals that a site can connect to."""

from django.dispatch import Signal

publish_failed = Signal()
"""Sent after a message could not be published and no exception was raised for it, with `room`,
`error` and `idempotency_key`. The message may have arrived all the same. A receiver that publishes
it again needs the same key, so that nobody gets it twice."""

# What connections do. Receivers are called after it, in one thread of their own and in the order of
# what has happened in this process; they can prevent nothing. `user` is the id as a string, empty
# for a visitor who has not signed in, and `client` the id of the connection.

connected = Signal()
"""Sent after a connection has signed in, with `user` and `client`."""

disconnected = Signal()
"""Sent after such a connection has ended, with `user`, `client` and `code`: the close code if the
server has closed it, else None. Not sent if the process is killed."""

joined = Signal()
"""Sent after a connection has entered a room, with `user`, `client` and `room`."""

left = Signal()
"""Sent after a connection has left a room, with `user`, `client` and `room`."""

published = Signal()
"""Sent after a message of a client was kept, with `user`, `client`, `room` and `data`, the payload
as bytes of JSON."""

refused = Signal()
"""Sent after a command was refused, with `user`, `client`, `command`, `subject` (its room, or the
method of an rpc) and `code`."""
