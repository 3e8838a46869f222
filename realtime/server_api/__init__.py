"""What a site may do from its own code: publish, read, and act on live connections."""
