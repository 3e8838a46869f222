"""One client: from texts to commands to rooms, and back. Knows no sockets."""
