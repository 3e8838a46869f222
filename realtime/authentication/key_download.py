"""Downloads the keys of an issuer within one deadline, however slowly they arrive.

The timeout of `urllib`, which PyJWT uses, starts again with each byte.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
import urllib.request
from functools import partial
from typing import Any
from urllib.error import HTTPError

MOST_BYTES = 1_048_576


def download(client: Any, seconds: float) -> None:
    """Fetch the key set of a `PyJWKClient` into its cache. Raises `OSError` or `ValueError`, and
    PyJWT's errors if the answer is no key set."""
    deadline = time.monotonic() + seconds
    request = urllib.request.Request(client.uri, headers=client.headers)
    opener = urllib.request.build_opener(
        _NoRedirects, _HTTP(deadline), _HTTPS(deadline, context=client.ssl_context)
    )
    try:
        with opener.open(request, timeout=seconds) as response:
            text = response.read(MOST_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise
    if len(text) > MOST_BYTES:
        raise ValueError(f"the answer has more than {MOST_BYTES} bytes")
    client.jwk_set_cache.put(json.loads(text))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._connect = partial(_connection, http.client.HTTPConnection, deadline)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        connect: Any = self._connect
        return self.do_open(connect, req)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, deadline: float, context: Any) -> None:
        super().__init__(context=context)
        self._arguments = {} if context is None else {"context": context}
        self._connect = partial(_connection, http.client.HTTPSConnection, deadline)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        connect: Any = self._connect
        return self.do_open(connect, req, **self._arguments)


def _connection(kind: Any, deadline: float, host: str, **kwargs: Any) -> Any:
    connection = kind(host, **kwargs)
    connection.response_class = partial(_Response, deadline)
    return connection


class _Response(http.client.HTTPResponse):
    """A response that is read until the deadline at most: status, headers and body."""

    def __init__(self, deadline: float, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        with self.fp:
            self.fp = io.BufferedReader(_UntilDeadline(sock, deadline))


class _UntilDeadline(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the issuer's keys took too long")
        self._sock.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
