"""The endpoint that publishes to a room."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.db import transaction
from django.utils.decorators import method_decorator
from rest_framework.exceptions import ErrorDetail
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..authentication import Identity, profiles
from ..codes import Error
from ..conf import realtime_settings
from ..exceptions import RealtimeError
from ..layers import get_layer
from ..rooms.exclusions import own, with_exclusions
from ..rooms.finding import AnyRoom
from ..rooms.handlers import run_publish_hook_sync
from ..rooms.payloads import checked
from ..rooms.publications import ClientInfo, publication_body, retention
from ..server_api.clients import HEADER
from . import shapes
from .access import RoomView
from .errors import RefusedRequest, bad_request
from .openapi import documented

logger = logging.getLogger("realtime.rest")

ENVELOPE_BYTES = 4_096
"""A body may have so many bytes more than the message in it."""
KEY_MAX = 200


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What is published. `data` is any JSON value, which is passed on as it is."""

    data: msgspec.Raw
    idempotency_key: str = ""
    exclude: str = ""
    """The connection of the user that does not get it."""


class BodyParser(BaseParser):
    """Reads a `Body`, and no more bytes than one may have."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        most = realtime_settings.MESSAGE_MAX_BYTES + ENVELOPE_BYTES
        text = stream.read(most + 1)
        if len(text) > most:
            raise RefusedRequest(Error(Error.LIMIT_EXCEEDED.code, "the body is too large"))
        try:
            return _decode(text)
        except msgspec.ValidationError as error:
            raise bad_request(f'the body is not {{"data": ...}}: {error}') from error
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise bad_request(f"the body is no such JSON: {error}") from error


_decode = msgspec.json.Decoder(Body).decode


class PublishView(RoomView):
    """POST: publishes to a room, as the `publish` command does on the socket.

    Outside of the transaction that `ATOMIC_REQUESTS` opens: what `on_publish` has stored must be
    committed when the members get the message, and look for it.
    """

    parser_classes = (BodyParser,)

    @method_decorator(transaction.non_atomic_requests)
    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(*args, **kwargs)

    @documented(shapes.Published, 400, 413, 415, 500, 503, request=shapes.NewMessage)
    def post(self, request: Request, room: str) -> Response:
        body = self._body(request)
        identity, found = self.require(request, "publish", room)
        data = self._changed(found, identity, checked(bytes(body.data)))
        message = publication_body(data, self._sender(found, identity))
        client = body.exclude or request.headers.get(HEADER, "")
        if client:
            # Everybody in the room may know the id of a client: it must be one of this user.
            message = with_exclusions(message, own(client, identity.user_id))
        key = self._key(request, body)
        once = _own_key(identity, key) if key else ""
        position = get_layer().append_sync(found.name, message, retention(found), once)
        return Response({"epoch": position.epoch, "offset": position.offset})

    def _body(self, request: Request) -> Body:
        if not isinstance(request.data, Body):
            raise bad_request('the body is missing; send {"data": …} as application/json')
        return request.data

    def _key(self, request: Request, body: Body) -> str:
        header = request.headers.get("Idempotency-Key", "")
        if header and body.idempotency_key and header != body.idempotency_key:
            raise bad_request("Idempotency-Key and idempotency_key differ; send one of them")
        key = header or body.idempotency_key
        if len(key) > KEY_MAX:
            raise bad_request(f"the idempotency key has more than {KEY_MAX} characters")
        return key

    def _changed(self, room: AnyRoom, identity: Identity, data: bytes) -> bytes:
        """What the room's `on_publish` makes of the data."""
        with _failures_of("on_publish", room):
            return run_publish_hook_sync(room, identity.user, data)

    def _sender(self, room: AnyRoom, identity: Identity) -> bytes:
        """What others see of the publisher."""
        with _failures_of("USER_INFO", room):
            info = profiles.public_info_sync(identity.user)
            return msgspec.json.encode(ClientInfo(identity.user_id, conn_info=info))


@contextmanager
def _failures_of(name: str, room: AnyRoom) -> Iterator[None]:
    """Log what code of the site raises, and answer with a reference to it."""
    try:
        yield
    except RealtimeError:
        raise
    except Exception as error:
        reference = uuid.uuid4().hex[:8]
        logger.exception("%s failed in the room %r, reference %s", name, room.name, reference)
        raise FailedHook(reference) from error


class FailedHook(RefusedRequest):
    """A hook of the site has failed: the log has the reference."""

    def __init__(self, reference: str) -> None:
        message = f"internal server error, reference {reference}"
        super().__init__(Error(Error.INTERNAL.code, message, temporary=True))
        self.status_code, self.detail = 500, ErrorDetail(message, "internal")


def _own_key(identity: Identity, key: str) -> str:
    """Return a key that neither another user nor the site uses: a message with the same key as an
    earlier one is swallowed. The site's keys may begin with an id, but hold no NUL."""
    return f"\0{identity.user_id}\0{key}"
