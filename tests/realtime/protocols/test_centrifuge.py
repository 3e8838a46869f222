"""The native protocol, without sockets and without an event loop."""

import contextlib
import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.codes import CloseCode, Error, UnsubscribeCode
from realtime.protocols.base import ProtocolError
from realtime.protocols.centrifuge import CentrifugeProtocol
from realtime.protocols.requests import Command, MalformedCommand
from realtime.rooms.publications import ClientInfo, Publication, publication_body

protocol = CentrifugeProtocol()


def decode(text: str) -> list[Command | MalformedCommand]:
    """All commands of a frame."""
    return [protocol.decode(line) for line in protocol.split(text, 500)]


def only(text: str) -> Command:
    (command,) = decode(text)
    assert isinstance(command, Command)
    return command


def test_a_command_is_named_by_its_key():
    command = only('{"id": 7, "subscribe": {"channel": "lobby", "recover": true}}')
    assert (command.id, command.name) == (7, "subscribe")
    assert (command.body.channel, command.body.recover) == ("lobby", True)


def test_a_frame_holds_several_commands_in_order():
    text = '{"id":1,"connect":{}}\n{"id":2,"ping":{}}\n'
    assert [command.name for command in decode(text)] == ["connect", "ping"]


def test_an_empty_object_is_the_pong():
    assert only("{}") == Command(0, "pong")
    assert only(" {} ").name == "pong"


def test_send_needs_no_id():
    assert only('{"send": {"data": 1}}').name == "send"


def test_unknown_fields_are_ignored():
    assert only('{"id":1,"connect":{"flag":3,"token":"t"},"delta":"fossil"}').body.token == "t"


def test_the_text_of_a_payload_is_kept_exactly():
    command = only('{"id":1,"publish":{"channel":"a","data": {"b" :  1.0,"a":"\\u00e9"} }}')
    assert bytes(command.body.data).strip() == b'{"b" :  1.0,"a":"\\u00e9"}'


@pytest.mark.parametrize(
    "text",
    ["", "\n", '{"a":', "\ufeff{}", "]", "5", "null", "[]", '"x"', '{"id":0,"ping":{}}']
    + ['{"ping":{}}', '{"id":-1,"ping":{}}', '{"id":"1","ping":{}}', '{"x":1}', "NaN", "{}{}"]
    + ['{"id":99999999999999999999999,"ping":{}}', "[" * 1_000, "[" * 100_000],
)
def test_a_frame_without_an_id_ends_the_connection(text):
    with pytest.raises(ProtocolError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    ['{"id":3}', '{"id":3,"jump":{}}', '{"id":3,"ping":{},"publish":{}}']
    + ['{"id":3,"publish":5}', '{"id":3,"publish":{"channel":7}}', '{"id":3,"connect":[]}']
    + ['{"id":3,"connect":{"name":5}}', '{"id":3,"subscribe":{"offset":-1e9,"channel":[]}}'],
)
def test_a_malformed_command_with_an_id_is_answered_with_107(text):
    (malformed,) = decode(text)
    assert isinstance(malformed, MalformedCommand)
    assert (malformed.id, malformed.error.code) == (3, 107)


@pytest.mark.parametrize("frame", ["\n" * 501, "{}\n" * 501, "\n".join(["{}"] * 502)])
def test_the_commands_of_a_frame_are_counted_before_one_is_read(frame):
    with pytest.raises(ProtocolError, match="at most 500 commands"):
        protocol.split(frame, 500)
    assert len(protocol.split("{}\n" * 500, 500)) == 500


@pytest.mark.parametrize(
    ("text", "id"),
    [('{"id":7,"ping":{}}', 7), ('{"ping":{},"id": 7 }', 7), ('{"send":{}}', 0), ("x" * 200, 0)],
)
def test_the_id_of_a_command_is_found_without_reading_it(text, id):
    assert protocol.id_in(text) == id


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [1, 101, 490])
def test_a_payload_is_kept_as_it_is_however_deep_it_nests(levels):
    """Whether it may be published is decided later."""
    text = f'{{"id":1,"publish":{{"channel":"a","data":{nested(levels)}}}}}'
    [command] = decode(text)
    assert bytes(command.body.data).decode() == nested(levels)


@pytest.mark.parametrize("levels", [533, 997, 10_000, 200_000])
@pytest.mark.parametrize(
    "text",
    [
        '{"id":7,"publish":{"channel":"a","data":DEEP}}',
        '{"publish":{"channel":"a","data":DEEP},"id":7}',
        '{"id": 7, "ping": {}, "unknown": DEEP}',
        '{"publish":{"channel":5,"data":DEEP}, "id" : 7 }',
    ],
)
def test_what_is_too_deep_for_a_parser_is_a_bad_request_on_every_python(text, levels):
    started = time.monotonic()
    [command] = decode(text.replace("DEEP", nested(levels)))
    assert isinstance(command, MalformedCommand)
    assert (command.id, command.error.code) == (7, 107)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("text", [nested(1_000), '{"id":0,"ping":DEEP}', "[" * 300_000])
def test_what_is_too_deep_and_has_no_id_can_not_be_answered(text):
    with pytest.raises(ProtocolError, match="nests too deep"):
        decode(text.replace("DEEP", nested(1_000)))


UNREADABLE = [
    *[r'"\ud83d"', r'"\ude00"', r'"\ud83d\ud83d"', r'{"\ud83d":1}', '"\ud83d"', '"\t"', r'"\x"'],
    *["NaN", "[-Infinity]", r'{"id":5,"a":"\ud83d"}', r'"\",\"id\":5}\ud83d"'],
    *["[" * 1_000 + "]" * 1_000, "[" * 100_000 + "]" * 100_000, '{"a":[' * 9_000 + "]}" * 9_000],
]


@pytest.mark.parametrize("id", [2**32, 2**53 - 1])
def test_an_id_out_of_range_is_refused(id):
    (refused,) = decode(f'{{"id":{id},"ping":{{}}}}')
    assert (refused.id, refused.error.code) == (id, 107)


OUT_OF_RANGE = {
    "history": ['"limit":2147483648', '"limit":-2147483649', '"since":{"offset":-1}']
    + [f'"since":{{"offset":{2**64}}}', '"since":{"offset":1.5}'],
    "subscribe": ['"offset":-1', f'"offset":{2**64}', f'"flag":{2**63}', '"type":2147483648'],
}


@pytest.mark.parametrize(
    ("command", "field"), [(name, it) for name, fields in OUT_OF_RANGE.items() for it in fields]
)
def test_a_number_out_of_the_range_of_the_protocol_is_refused(command, field):
    (refused,) = decode(f'{{"id":7,"{command}":{{"channel":"a",{field}}}}}')
    assert (refused.id, refused.error.code) == (7, 107)


def test_the_largest_numbers_of_the_protocol_are_accepted():
    assert only(f'{{"id":{2**32 - 1},"ping":{{}}}}').id == 2**32 - 1
    offset = 2**64 - 1
    subscribe = only(
        f'{{"id":1,"subscribe":{{"channel":"a","recover":true,"offset":{offset}}}}}'
    ).body
    # For the layers, one offset that no room has is like another.
    assert (subscribe.offset, subscribe.since.offset) == (offset, 2**53 - 1)
    history = f'{{"id":1,"history":{{"limit":{2**31 - 1},"since":{{"offset":{offset}}}}}}}'
    assert only(history).body.since.offset == 2**53 - 1


@pytest.mark.parametrize("map", ['"key":"a"', '"type":1', '"key":"a","removed":true,"type":1'])
def test_a_publication_to_a_map_is_refused(map):
    refused = decode(f'{{"id":7,"publish":{{"channel":"a","data":1,{map}}}}}')[0]
    assert (refused.id, refused.error.code) == (7, 107)


@pytest.mark.parametrize("payload", UNREADABLE)
@pytest.mark.parametrize(
    "command",
    ['{"id":7,"publish":{"channel":"a","data":%s}}', '{ "rpc" : {"data":%s}, "id" : 7 }\r']
    + ['{"connect":{"data":%s},"id":7}'],
)
def test_a_payload_that_nobody_can_read_costs_its_own_command(command, payload):
    started = time.monotonic()
    refused, other = decode(f'{command % payload}\n{{"id":8,"ping":{{}}}}')
    assert (refused.id, refused.error.code, other.name) == (7, 107, "ping")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("payload", UNREADABLE)
def test_a_send_that_nobody_can_read_is_dropped(payload):
    refused, other = decode(f'{{"send":{{"data":{payload}}}}}\n{{"id":8,"ping":{{}}}}')
    assert (refused.id, refused.error.code, other.name) == (0, 107, "ping")
    assert protocol.encode_error(refused.id, refused.error) == ""


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_breaks_the_decoder(text):
    with contextlib.suppress(ProtocolError):
        decode(text)


def test_replies_repeat_the_id_and_the_name():
    [reply] = protocol.encode_reply(Command(4, "subscribe"), {"epoch": "e", "offset": 2})
    assert json.loads(reply) == {"id": 4, "subscribe": {"epoch": "e", "offset": 2}}


def test_a_command_without_an_id_gets_no_reply():
    assert protocol.encode_reply(Command(0, "send"), {}) == []
    assert protocol.encode_error(0, Error.BAD_REQUEST) == ""


def test_errors_include_whether_to_retry():
    assert json.loads(protocol.encode_error(1, Error.INTERNAL))["error"]["temporary"] is True
    assert "temporary" not in json.loads(protocol.encode_error(1, Error.BAD_REQUEST))["error"]


def test_a_publication_has_the_exact_payload_and_its_sender():
    info = ClientInfo(user="7", client="c", conn_info={"name": "alice"})
    body = publication_body(b'{"n" : 1.0}', msgspec.json.encode(info))
    publication = Publication(3, body)
    text = protocol.encode_publication("lobby", publication)
    assert '{"n" : 1.0}' in text
    assert json.loads(text) == {
        "push": {
            "channel": "lobby",
            "pub": {
                "data": {"n": 1.0},
                "offset": 3,
                "info": {"user": "7", "client": "c", "conn_info": {"name": "alice"}},
            },
        }
    }


def test_pushes_about_rooms_and_the_connection():
    unsubscribe = protocol.encode_unsubscribe("a", UnsubscribeCode.BY_SERVER, "gone")
    assert json.loads(unsubscribe) == {
        "push": {"channel": "a", "unsubscribe": {"code": 2000, "reason": "gone"}}
    }
    assert protocol.encode_disconnect(CloseCode.SHUTDOWN, "bye") == ""


def test_publications_in_a_reply_look_the_same_at_any_depth():
    missed = Publication(3, publication_body(b"[1]", None))
    result = {"subs": {"lobby": {"offset": 3, "publications": [missed]}}}
    (reply,) = protocol.encode_reply(Command(1, "connect"), result)
    assert json.loads(reply)["connect"]["subs"]["lobby"]["publications"] == [
        {"data": [1], "offset": 3}
    ]


@pytest.mark.parametrize("line", ['{"id":1,"publish":{"channel":"a"},"ping":{}}', '{"id":1}'])
def test_an_object_with_two_commands_or_none_is_answered_as_malformed(line):
    (command,) = decode(line)
    assert isinstance(command, MalformedCommand)
    assert command.id == 1
