"""Credentials and payloads stay out of the servers' logs."""

import logging

import pytest

from realtime.transports.logs import MaskCredentials


def record(message, *args, level=logging.INFO, pathname="server.py"):
    return logging.LogRecord("uvicorn.error", level, pathname, 1, message, args, None)


@pytest.mark.parametrize("key", ["token", "ticket", "TOKEN", "sid"])
def test_credentials_of_the_query_string_are_masked(key):
    logged = record('%s - "WebSocket %s" [accepted]', "127.0.0.1", f"/ws/?a=1&{key}=s3cret&b=2")
    assert MaskCredentials().filter(logged)
    assert logged.getMessage() == f'127.0.0.1 - "WebSocket /ws/?a=1&{key}=***&b=2" [accepted]'


def test_arguments_by_name_are_masked():
    logged = record("%(path)s", {"path": "/ws/?token=s3cret"})
    MaskCredentials().filter(logged)
    assert "s3cret" not in logged.getMessage()


def test_everything_else_is_left_alone():
    logged = record("%s %d", "/tokens/?page=1", 200)
    MaskCredentials().filter(logged)
    assert logged.getMessage() == "/tokens/?page=1 200"


def test_frames_and_headers_that_the_library_writes_are_dropped():
    frame = record("< %s", "TEXT", level=logging.DEBUG, pathname="/x/websockets/protocol.py")
    assert not MaskCredentials().filter(frame)
