"""The HTTP endpoints: tickets and the list of rooms, with the same rights as the sockets."""
