"""An issuer of tokens elsewhere: a key pair, and the JWKS endpoint that publishes it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_KINDS = {
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
}


class Key:
    """A key pair with its name, the `kid`."""

    def __init__(self, algorithm="ES256"):
        generate, kind = _KINDS[algorithm]
        self.id = uuid.uuid4().hex
        self.algorithm = algorithm
        self._key = generate()
        jwk = kind.to_jwk(self._key.public_key(), as_dict=True)
        self.jwk = {**jwk, "kid": self.id, "use": "sig", "alg": algorithm}

    @property
    def private_pem(self):
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @property
    def public_pem(self):
        return (
            self._key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def sign(self, claims, *, lifetime=300, **headers):
        """A token; `headers` replace those that it would have, `kid=None` leaves it out."""
        now = int(time.time())
        headers = {"kid": self.id, **headers}
        return jwt.encode(
            {"iat": now, "exp": now + lifetime, **claims},
            self._key,
            algorithm=self.algorithm,
            headers={name: value for name, value in headers.items() if value is not None},
        )


class Issuer:
    """Serves its keys on a free port of this machine, and counts how often they are fetched.

    `hang()` lets fetches wait, until `answer()`. `fail(status, body)` spoils them. `heal()` ends
    both.
    """

    def __init__(self, algorithm="ES256"):
        self.requests = 0
        self.key = Key(algorithm)
        self.keys = [self.key.jwk]
        self._answer = None
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._counting = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def sign(self, claims, **options):
        return self.key.sign(claims, **options)

    def rotate(self):
        """Sign with a new key from now on, and publish only that one. Returns the old one."""
        old, self.key = self.key, Key(self.key.algorithm)
        self.keys = [self.key.jwk]
        return old

    def hang(self):
        self._hung_after = self.requests
        self._may_answer.clear()

    async def until_asked(self):
        """Wait for a fetch that has begun since `hang`."""
        await self.until_requests(self._hung_after + 1)

    async def until_requests(self, number):
        """Wait for the fetch with this number."""

        def wait():
            with self._counting:
                return self._counting.wait_for(lambda: self.requests >= number, timeout=60)

        assert await asyncio.to_thread(wait), "nobody asked for the keys"

    def fail(self, status=500, body=b"out of order"):
        self._answer = (status, body)

    def answer(self):
        self._may_answer.set()

    def heal(self):
        self._answer = None
        self.answer()

    def stop(self):
        self.heal()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self):
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with issuer._counting:
                    issuer.requests += 1
                    issuer._counting.notify_all()
                issuer._may_answer.wait()
                keys = json.dumps({"keys": issuer.keys}).encode()
                status, body = issuer._answer or (200, keys)
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    # A body of None is promised and never sent: the connection just ends.
                    self.send_header("Content-Length", str(len(body or b"x")))
                    self.end_headers()
                    self.wfile.write(body or b"")
                except ConnectionError:
                    pass  # whoever asked has given up

            def log_message(self, *args):
                pass

        return Handler


def forgeries(key, good):
    """Tokens that nobody should take, by what is wrong with them. `good` is one of `key`."""
    head, body, signature = good.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))

    def with_header(**changes):
        changed = {**header, **changes}
        return f"{_part({k: v for k, v in changed.items() if v is not ...})}.{body}.{signature}"

    def as_hmac(secret, algorithm="HS256", kid=key.id):
        """Signed with what everybody can read, as PyJWT and jsonwebtoken refuse to."""
        signed = f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': kid})}.{body}"
        digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    return {
        "HS256 with the PEM": as_hmac(key.public_pem),
        "HS256 with the JWK": as_hmac(json.dumps(key.jwk)),
        "HS256 without a kid": as_hmac(key.public_pem, kid=""),
        "HMAC under the right name": as_hmac(key.public_pem, key.algorithm),
        "alg none": with_header(alg="none"),
        "alg of another kind": with_header(alg="PS256"),
        "alg a list": with_header(alg=[key.algorithm]),
        "no alg": with_header(alg=...),
        "no kid": with_header(kid=...),
        "kid empty": with_header(kid=""),
        "kid null": with_header(kid=None),
        "kid a list": with_header(kid=[key.id]),
        "kid an object": with_header(kid={"$ne": ""}),
        "kid a number": with_header(kid=1),
        "kid of 700 KB": with_header(kid="k" * 700_000),
        "jku elsewhere": with_header(kid="", jku="http://127.0.0.1:1/"),
        "a key of its own": with_header(kid="", jwk=key.jwk),
        "crit": with_header(crit=["exp"]),
        "header a list": f"{_part([header])}.{body}.{signature}",
        "header nested": f"{'W1tb' * 1_500}.{body}.{signature}",
        "body nested": f"{head}.{'W1tb' * 1_500}.{signature}",
        "body no JSON": f"{head}.AAAA.{signature}",
        "two parts": f"{head}.{body}",
        "nothing": "..",
    }


def _part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
