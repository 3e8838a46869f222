"""The paths for `uvicorn --ws` and `--http`; the code is in `realtime.transports`."""

from .transports.uvicorn import WebSocketProtocol as WebSocketProtocol
from .transports.uvicorn_http import HTTPProtocol as HTTPProtocol
