"""The path of the protocol for `uvicorn --ws`; the code is in `realtime.transports.uvicorn`."""

from .transports.uvicorn import WebSocketProtocol as WebSocketProtocol
