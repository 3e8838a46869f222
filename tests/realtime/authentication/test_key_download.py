"""Keys of an issuer are fetched within one deadline, whatever it sends."""

import json
import socketserver
import threading
import time

import jwt
import pytest

from realtime.authentication.key_download import MOST_BYTES, download
from tests.support.issuers import Issuer, Key

SECONDS = 0.5


class Dripping(socketserver.BaseRequestHandler):
    """Sends `opening`, and then a byte every 20 ms for as long as somebody reads."""

    opening = b""

    def handle(self):
        try:
            self.request.recv(65_536)
            self.request.sendall(self.opening)
            while not self.server.may_end.wait(0.02):
                self.request.sendall(b"x")
        except ConnectionError:
            pass


@pytest.fixture
def serve():
    servers = []

    def _serve(**members):
        handler = type("Handler", (Dripping,), members)
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.may_end = threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        servers.append((server, thread))
        return jwt.PyJWKClient(f"http://127.0.0.1:{server.server_address[1]}/jwks.json")

    yield _serve
    for server, thread in servers:
        server.may_end.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "opening",
    [
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nServer: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n",
    ],
)
def test_an_answer_that_drips_in_is_given_up_at_the_deadline(serve, opening):
    client = serve(opening=opening)
    began = time.monotonic()
    with pytest.raises(OSError):
        download(client, SECONDS)
    assert SECONDS * 0.9 <= time.monotonic() - began < SECONDS + 10
    assert client.jwk_set_cache.get() is None


def test_an_answer_without_end_is_not_read_to_memory(serve):
    opening = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST_BYTES + 1)
    with pytest.raises(ValueError, match="more than"):
        download(serve(opening=opening), 30)


def test_keys_are_kept_in_the_cache_of_the_client():
    issuer = Issuer()
    try:
        client = jwt.PyJWKClient(issuer.url)
        download(client, 30)
        assert [key.key_id for key in client.jwk_set_cache.get().keys] == [issuer.key.id]
        assert issuer.requests == 1
    finally:
        issuer.stop()


def test_a_failure_keeps_the_keys_that_are_known():
    issuer = Issuer()
    try:
        client = jwt.PyJWKClient(issuer.url)
        download(client, 30)
        for status, body in ((500, b""), (302, b""), (200, b"[]"), (200, b'{"keys": []}')):
            issuer.fail(status, body)
            with pytest.raises((OSError, ValueError, jwt.PyJWTError)):
                download(client, 30)
        assert [key.key_id for key in client.jwk_set_cache.get().keys] == [issuer.key.id]
    finally:
        issuer.stop()


def test_headers_of_the_client_are_sent(serve):
    received = []
    keys = json.dumps({"keys": [Key().jwk]}).encode()

    def handle(self):
        received.append(self.request.recv(65_536))
        self.request.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + keys)

    client = serve(handle=handle)
    client.headers = {"X-Api-Key": "abc"}
    download(client, 30)
    assert b"x-api-key: abc" in received[0].lower()
    assert client.jwk_set_cache.get() is not None
