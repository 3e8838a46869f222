"""The parser of the `websockets` library, and what of that library is not public.

This is the only module that knows names of it that its documentation does not have.
"""

from __future__ import annotations

import logging

from websockets.frames import CloseCode as CloseCode
from websockets.frames import Frame as Frame
from websockets.frames import Opcode as Opcode
from websockets.frames import apply_mask as apply_mask  # type: ignore[attr-defined]
from websockets.http11 import Request as Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol as ServerProtocol


def open_parser(max_size: int) -> ServerProtocol:
    """The parser of a connection whose handshake is done. Messages have at most `max_size` bytes.

    It logs through uvicorn's logger, as uvicorn's own parsers do.
    """
    logger = logging.getLogger("uvicorn.error")
    return ServerProtocol(state=OPEN, max_size=max_size, logger=logger)


def accept_no_extensions(parser: ServerProtocol) -> None:
    """Let the handshake accept no extension, such as compression, whatever the client offers."""
    parser.available_extensions = None


def release(parser: ServerProtocol) -> None:
    """Give up a parser. It refers to itself, and to the last frame, which may be a large one: both
    would stay until the garbage collector comes by."""
    parser.parser.close()


def limit_messages(parser: ServerProtocol, size: int) -> None:
    """Let messages have at most `size` bytes, or less where the server says so."""
    parser.max_message_size = min(parser.max_message_size or size, size)


def has_refused(parser: ServerProtocol) -> bool:
    """Return whether the handshake was refused. What is left to send is the answer, or nothing."""
    return parser.handshake_exc is not None


def is_open(parser: ServerProtocol) -> bool:
    """Return whether messages may be sent: neither side has begun to close."""
    return parser.state is OPEN


def has_ended(parser: ServerProtocol) -> bool:
    """Return whether the client has closed, or has broken the protocol."""
    return parser.parser_exc is not None or parser.close_rcvd is not None


def is_between_messages(parser: ServerProtocol) -> bool:
    """Return whether the parser is in no message of several frames, and may be given up."""
    return parser.current_size is None


def is_plain(parser: ServerProtocol) -> bool:
    """Return whether frames are as in RFC 6455: no extension, such as compression, changes them."""
    return not parser.extensions


def has_read_all(parser: ServerProtocol) -> bool:
    """Return whether no byte of the client waits to be parsed."""
    return not parser.reader.buffer
