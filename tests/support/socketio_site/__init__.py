"""A site whose clients are those of Socket.IO."""
