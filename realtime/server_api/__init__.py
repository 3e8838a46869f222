"""The API for a site's own code: publish, read, and act on live connections."""
