"""What Daphne does differently, and has no public way to ask for or to change.

This is the only module that knows names inside of Daphne, Autobahn and Twisted, with
`daphne_reading` beside it. If they change, if `send` is wrapped, and on other servers, nothing is
found, and Daphne's own ways hold.
"""

from __future__ import annotations

import pprint
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ..protocols.frames import Frame
from .asgi import Send
from .daphne_reading import PieceReader
from .logs import masked


class DaphneSink:
    """A connection of Daphne, whose `send` never waits for the client."""

    __slots__ = ("_protocol", "_send")

    def __init__(self, send: Send, protocol: Any) -> None:
        self._send = send
        self._protocol = protocol

    def write_frame(self, frame: Frame) -> bool:
        return False

    def write_close(self, code: int, reason: str) -> bool:
        return False

    def send(self, message: dict[str, Any], /) -> Awaitable[None]:
        if message["type"] == "websocket.close" and hasattr(self._protocol, "sendClose"):
            # Daphne would send the code without the reason. What it does now comes too late.
            self._protocol.sendClose(message["code"], message["reason"])
        return self._send(message)

    def held_bytes(self) -> int:
        """The bytes that Twisted holds for a client that does not read them."""
        transport = self._protocol.transport
        buffered = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        return buffered + int(getattr(transport, "_tempDataLen", 0))


def sink_of(send: Send) -> DaphneSink | None:
    """What an outbox writes to, if `send` is Daphne's own."""
    protocol = protocol_of(send)
    return None if getattr(protocol, "transport", None) is None else DaphneSink(send, protocol)


def transport_of(send: Send) -> Any:
    """The connection of Twisted; None if `send` is not Daphne's own."""
    return getattr(protocol_of(send), "transport", None)


def scheme_of(send: Send) -> str | None:
    """The scheme of a connection, as Daphne tells Django for HTTP; it leaves it out of the scope of
    a WebSocket. None if `send` is not Daphne's own."""
    protocol, transport = protocol_of(send), transport_of(send)
    if transport is None:
        return None
    forwarded: str | None = getattr(protocol, "client_scheme", None)  # with `--proxy-headers`
    # Only the TLS transports of Twisted have this method.
    return forwarded or ("wss" if hasattr(transport, "getPeerCertificate") else "ws")


def mask_access_log(send: Send) -> None:
    """Keep credentials in the URLs of HTTP requests out of Daphne's own access log, which is not
    written through `logging`. It says nothing of the query of a WebSocket."""
    server = getattr(protocol_of(send), "server", None)
    log = getattr(server, "action_logger", None)
    if server is not None and log is not None and not isinstance(log, _MaskedLog):
        server.action_logger = _MaskedLog(log)


class _MaskedLog:
    """Stands before the function that writes Daphne's access log."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log

    def __call__(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        known = {"path": masked(details["path"])} if "path" in details else {}
        self._log(protocol, action, {**details, **known})


def limit_buffers(send: Send, frame_bytes: int, unsent_bytes: int) -> None:
    """Limit what Autobahn buffers of a frame, and of its answers to WebSocket pings.

    Its limit of a message in several frames is also one of what is sent, so it is both together.
    """
    protocol = protocol_of(send)
    if hasattr(protocol, "maxFramePayloadSize"):
        protocol.maxFramePayloadSize = frame_bytes
        protocol.maxMessagePayloadSize = frame_bytes + unsent_bytes
        protocol.onPing = partial(_on_ping, protocol, unsent_bytes)


def _on_ping(protocol: Any, unsent_bytes: int, payload: bytes) -> None:
    if DaphneSink(protocol.sendPong, protocol).held_bytes() > unsent_bytes:
        protocol.transport.abortConnection()
    else:
        protocol.sendPong(payload)


def charge_frames(send: Send, charge: Callable[[int], None]) -> None:
    """Call `charge` for each frame that is no whole message: pings, pongs, and fragments.

    Frames are parsed a few at a time, and a client that goes on after our close is cut.
    """
    protocol = protocol_of(send)
    if not hasattr(protocol, "onMessageFrameBegin"):
        return
    reader = PieceReader(protocol)
    begin_frame = protocol.onMessageFrameBegin

    def on_frame(length: int) -> None:
        reader.count_late(length)
        if not protocol.current_frame.fin:
            charge(1)
        begin_frame(length)

    def on_control_frame(answer: Callable[[bytes], None], payload: bytes) -> None:
        reader.count_late(len(payload))
        charge(1)
        answer(payload)

    protocol.onMessageFrameBegin = on_frame
    protocol.onPing = partial(on_control_frame, protocol.onPing)
    protocol.onPong = partial(on_control_frame, protocol.onPong)


def pause_reading(send: Send) -> Callable[[], None]:
    """Read nothing more from the client, whose messages would all be queued, until what is returned
    is called."""
    reader = getattr(getattr(protocol_of(send), "dataReceived", None), "__self__", None)
    if not isinstance(reader, PieceReader):
        return _nothing
    reader.pause()
    return reader.resume


def _nothing() -> None:
    pass


def give_time_to_close(send: Send, seconds: float) -> None:
    """Give a client some seconds, or up to one less, to answer a close.

    Autobahn gives it one second, and counts in full seconds of the clock: a close just before one
    is cut at once, sometimes before the close frame has left. So it is two seconds at least.
    """
    protocol = protocol_of(send)
    if hasattr(protocol, "closeHandshakeTimeout"):
        protocol.closeHandshakeTimeout = max(seconds, 2)


def spare_formatting() -> None:
    """Let Autobahn format the options of each connection in one line.

    It does so for a line of its debug log that is not written, and its `pformat` takes a third of
    the CPU time that a handshake costs before the application is called.
    """
    module: Any = sys.modules.get("autobahn.websocket.protocol")
    if getattr(module, "pformat", None) is pprint.pformat:
        module.pformat = repr


def protocol_of(send: Send) -> Any:
    """The protocol of a connection of Daphne, or None. Daphne calls the application with a
    `functools.partial` that holds it."""
    return next(iter(getattr(send, "args", ())), None)
