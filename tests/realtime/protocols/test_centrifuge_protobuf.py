"""The native protocol in Protobuf, without sockets and without an event loop."""

import contextlib

import pytest
from centrifuge.codecs import _ProtobufCodec
from hypothesis import given
from hypothesis import strategies as st

from realtime.codes import CloseCode, Error, UnsubscribeCode
from realtime.protocols.base import ProtocolError
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.protocols.centrifuge_protobuf import PING, CentrifugeProtobufProtocol
from realtime.protocols.requests import Command
from realtime.rooms.publications import ClientInfo, Publication, publication_body

protocol = CentrifugeProtobufProtocol()


def decode(message):
    return [protocol.decode(part) for part in protocol.split(message, 500)]


def test_a_frame_holds_several_commands_in_order():
    frame = _ProtobufCodec.encode_commands([{"id": 1, "connect": {}}, {}, {"id": 2, "ping": {}}])
    assert [command.name for command in decode(frame)] == ["connect", "pong", "ping"]


def test_the_ping_is_an_empty_message_and_so_is_its_answer():
    assert _ProtobufCodec.encode_commands([{}]) == protocol.ping == protocol.pong == PING
    assert _ProtobufCodec.decode_replies(protocol.ping) == [{}]
    assert protocol.split(PING * 2, 500) == [PING, PING]


@pytest.mark.parametrize(
    "frame",
    [
        *[b"", b"\x05abcd", b"\x80", b"\xff" * 9 + b"\x01", b"\xff" * 20, b"\x80" * 1_000_000],
        *[b"\x01\x00", b'{"id":1,"connect":{}}', b"\x02\x5a\x00", b"\xff\xff\xff\xff\x0f"],
    ],
)
def test_a_frame_that_can_not_be_read_ends_the_connection(frame):
    with pytest.raises(ProtocolError):
        decode(frame)


def test_the_commands_of_a_frame_are_counted_before_one_is_read():
    with pytest.raises(ProtocolError, match="at most 500 commands"):
        protocol.split(PING * 1_000_000, 500)
    assert len(protocol.split(PING * 500, 500)) == 500


def test_replies_and_pushes_are_joined_by_nothing():
    published = Publication(3, publication_body(b'{"n":1}', None))
    frames = [
        *protocol.encode_reply(Command(4, "publish"), {}),
        protocol.encode_publication("lobby", published),
        protocol.encode_error(5, Error.INTERNAL),
        protocol.encode_presence("lobby", "join", ClientInfo("7")),
        protocol.encode_unsubscribe("lobby", UnsubscribeCode.BY_SERVER, "gone"),
        protocol.encode_subscribe("lobby", {"epoch": "e", "recovered": False}),
        protocol.encode_rights(),
        protocol.encode_notice("hello"),
        protocol.ping,
    ]
    replies = _ProtobufCodec.decode_replies(protocol.separator.join(frames))
    assert [next(iter(reply.get("push", reply)), "ping") for reply in replies] == [
        "id", "channel", "id", "channel", "channel", "channel", "message", "message", "ping",
    ]  # fmt: skip
    assert [reply["id"] for reply in replies if "id" in reply] == [4, 5]


def test_nothing_is_said_to_a_command_without_an_id():
    assert protocol.encode_reply(Command(0, "send"), {}) == []
    assert protocol.encode_error(0, Error.BAD_REQUEST) == b""
    assert protocol.encode_disconnect(CloseCode.SHUTDOWN, "bye") == b""


def test_it_has_all_that_the_form_in_json_has():
    named = [name for name in dir(CentrifugeProtocol) if not name.startswith("_")]
    assert [name for name in named if not hasattr(protocol, name)] == []


@given(st.binary(max_size=100))
def test_no_bytes_break_the_decoder(message):
    with contextlib.suppress(ProtocolError):
        decode(message)
