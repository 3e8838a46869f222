"""Protocol Buffers for the messages of the native protocol: fields, commands and replies."""
