"""Keeps credentials and payloads out of the logs of the servers in front of us."""

import logging
import re
from typing import Any

# uvicorn and Daphne write the request line of a WebSocket, query string and all.
_LOGGERS = (
    "uvicorn.access",
    "uvicorn.error",
    "django.channels.server",
    "django.request",
    "daphne.http_protocol",
    "daphne.ws_protocol",
)
_CREDENTIAL = re.compile(r"((?:[?&]|^)(?:token|ticket|sid)=)[^&\s\"']+", re.IGNORECASE)


class MaskCredentials(logging.Filter):
    """Masks `?token=`, `?ticket=` and `?sid=`, the id of a client that polls; and drops the frames
    and headers that the `websockets` library writes at DEBUG through uvicorn's logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG and "websockets" in record.pathname:
            return False
        if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError):
            # uvicorn reports a frame that is not UTF-8 as an error: it is the client's mistake.
            record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
        record.msg = masked(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(masked(arg) for arg in record.args)
        elif isinstance(record.args, dict):
            record.args = {key: masked(arg) for key, arg in record.args.items()}
        return True


def masked(value: Any) -> Any:
    """Return a text without the credentials in its URLs; anything else as it is."""
    return _CREDENTIAL.sub(r"\1***", value) if isinstance(value, str) else value


def install() -> None:
    """Add the filter to the loggers of the servers, once."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, MaskCredentials) for known in logger.filters):
            logger.addFilter(MaskCredentials())
