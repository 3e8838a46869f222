"""The HTTP endpoints: tickets and the list of rooms, with the same rights as on WebSockets."""
