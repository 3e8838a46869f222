"""The plain protocol, without sockets."""

import json

import msgspec
import pytest

from realtime.codes import CloseCode, Error
from realtime.protocols.plain import PlainProtocol, subscribe
from realtime.protocols.requests import Command, MalformedCommand
from realtime.rooms.payloads import checked
from realtime.rooms.publications import ClientInfo, Position, Publication, publication_body

protocol = PlainProtocol("lobby")


def test_every_frame_is_a_payload_for_the_room():
    command = protocol.decode('{"type": "join_group", "user": "admin"}')
    assert isinstance(command, Command)
    assert (command.name, command.body.channel) == ("publish", "lobby")
    assert bytes(command.body.data) == b'{"type": "join_group", "user": "admin"}'


def test_text_that_is_not_unicode_is_refused():
    command = protocol.decode('"\ud800"')
    assert isinstance(command, MalformedCommand)


def test_the_joined_message_has_the_position():
    [frame] = protocol.encode_reply(Command(0, "subscribe"), {"epoch": "e", "offset": 3})
    assert json.loads(frame) == {"type": "joined", "room": "lobby", "epoch": "e", "offset": 3}


def test_other_replies_are_empty():
    assert protocol.encode_reply(Command(0, "publish"), {}) == []


def test_missed_publications_follow_the_joined_message():
    missed = [Publication(2, publication_body(b"1", None))]
    result = {"epoch": "e", "offset": 2, "recovered": True, "publications": missed}
    joined, message = protocol.encode_reply(Command(0, "subscribe"), result)
    assert json.loads(joined)["recovered"] is True
    assert json.loads(message) == {
        "type": "message",
        "room": "lobby",
        "offset": 2,
        "user": None,
        "data": 1,
    }


def test_the_url_sets_the_position_to_recover_from():
    body = subscribe("lobby", "ticket=x&since=abc:7")
    assert (body.channel, body.since) == ("lobby", Position("abc", 7))
    assert subscribe("lobby", "").since is None


@pytest.mark.parametrize(
    "since", ["", ":", "abc", "abc:", ":7", "abc:-1", "abc:1.5", "abc:1e3", "abc:" + "9" * 30]
)
def test_an_invalid_position_is_a_bad_request(since):
    with pytest.raises(MalformedCommand):
        subscribe("lobby", f"since={since}")


def test_a_message_has_its_sender():
    info = ClientInfo(user="7", client="c", conn_info={"name": "alice"})
    publication = Publication(9, publication_body(b"[1]", msgspec.json.encode(info)))
    assert json.loads(protocol.encode_publication("lobby", publication)) == {
        "type": "message",
        "room": "lobby",
        "offset": 9,
        "user": "7",
        "name": "alice",
        "data": [1],
    }


def test_a_message_from_the_server_has_no_user():
    frame = protocol.encode_publication("lobby", Publication(1, publication_body(b"1", None)))
    assert json.loads(frame)["user"] is None


def test_errors_and_closes_are_objects_with_a_code():
    assert json.loads(protocol.encode_error(0, Error.PERMISSION_DENIED))["code"] == 103
    closing = json.loads(protocol.encode_disconnect(CloseCode.INVALID_TOKEN, "invalid token"))
    assert closing == {"type": "error", "code": 3500, "message": "invalid token"}


def test_a_payload_of_several_lines_is_sent_on_one_line():
    command = protocol.decode('{\r\n "a": [1,\n2],\n "b": "x  y"\n}')
    assert checked(bytes(command.body.data)) == b'{"a":[1,2],"b":"x  y"}'
