"""Server-sent events, without a server."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.codes import CloseCode, UnsubscribeCode
from realtime.protocols.base import ProtocolError
from realtime.protocols.requests import Command
from realtime.protocols.sse import (
    HEARTBEAT,
    EventStreamProtocol,
    StreamPosition,
    encode_end,
    retry,
    rooms_in,
    since_in,
)
from realtime.rooms.publications import Position, Publication, publication_body

protocol = EventStreamProtocol()


def publication(offset, data=b"1"):
    return Publication(offset, publication_body(data, None))


def read(stream):
    """Read a stream as a browser does (HTML, 9.2.6). Return its events: name, id and data."""
    events, last_id = [], ""
    for block in stream.split("\n\n"):
        name, data = "message", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last_id = value
        if data:
            events.append((name, last_id, json.loads("\n".join(data))))
    return events


def joined(room, epoch="e1", offset=0, **more):
    return protocol.encode_subscribe(room, {"epoch": epoch, "offset": offset, **more})


def test_a_message_is_an_event_without_a_name():
    position = StreamPosition(["lobby"])
    position.stamp(joined("lobby"))
    stream = position.stamp(protocol.encode_publication("lobby", publication(7, b'{"a": 1}')))
    [(name, id, message)] = read(stream)
    assert name == "message"
    assert "event:" not in stream
    assert message == {
        "type": "message",
        "room": "lobby",
        "offset": 7,
        "user": None,
        "data": {"a": 1},
    }
    assert StreamPosition(["lobby"]).move_to(id) == {"lobby": Position("e1", 7)}


def test_the_reply_to_connect_is_an_event_for_each_room_with_what_it_recovers():
    subs = {
        "a": {"epoch": "e1", "offset": 1, "recovered": True, "publications": [publication(2)]},
        "b": {"epoch": "e2", "offset": 5, "data": {"score": 3}},
    }
    events = protocol.encode_reply(Command(0, "connect"), {"subs": subs})
    stream = StreamPosition(["a", "b"]).stamp("".join(events))
    assert [(name, message["room"]) for name, _, message in read(stream)] == [
        ("joined", "a"),
        ("message", "a"),
        ("joined", "b"),
    ]
    first, _, last = (message for _, _, message in read(stream))
    assert (first["epoch"], first["offset"], first["recovered"]) == ("e1", 1, True)
    assert last["state"] == {"score": 3}


def test_other_replies_are_empty():
    assert protocol.encode_reply(Command(0, "refresh"), {}) == []


def test_an_id_holds_the_positions_in_all_rooms():
    position = StreamPosition(["a", "b", "c"])
    frames = [
        joined("a", "e1", 1),
        joined("c", "e3", 30),
        protocol.encode_publication("a", publication(2)),
        protocol.encode_publication("c", publication(31)),
    ]
    ids = [id for _, id, _ in read(position.stamp("".join(frames)))]
    assert [StreamPosition(["a", "b", "c"]).move_to(id) for id in ids] == [
        {"a": Position("e1", 1)},
        {"a": Position("e1", 1), "c": Position("e3", 30)},
        {"a": Position("e1", 2), "c": Position("e3", 30)},
        {"a": Position("e1", 2), "c": Position("e3", 31)},
    ]


def test_a_client_that_comes_back_keeps_the_position_of_a_room_that_it_has_not_entered_again():
    before = StreamPosition(["a", "b"])
    before.stamp(joined("a", "e1", 1) + joined("b", "e2", 2))
    again = StreamPosition(["a", "b"])
    again.move_to(before.id)
    [(_, id, _)] = read(again.stamp(joined("a", "e1", 1)))
    assert StreamPosition(["a", "b"]).move_to(id)["b"] == Position("e2", 2)


def test_a_room_that_is_lost_has_no_position_any_more():
    position = StreamPosition(["a", "b"])
    position.stamp(joined("a", "e1", 1) + joined("b", "e2", 2))
    lost = protocol.encode_unsubscribe("a", UnsubscribeCode.BY_SERVER, "not any more")
    [(name, id, message)] = read(position.stamp(lost))
    assert name == "unsubscribed"
    assert message == {
        "type": "unsubscribed",
        "room": "a",
        "code": 2000,
        "message": "not any more",
    }
    assert StreamPosition(["a", "b"]).move_to(id) == {"b": Position("e2", 2)}


def test_events_without_a_position_keep_the_last_id():
    position = StreamPosition(["a"])
    position.stamp(joined("a", "e1", 1))
    events = HEARTBEAT + protocol.encode_notice("maintenance") + HEARTBEAT
    assert position.stamp(events) == events
    assert position.stamp(HEARTBEAT) == HEARTBEAT


def test_an_id_of_other_rooms_or_of_none_is_refused():
    position = StreamPosition(["a", "b"])
    position.stamp(joined("a") + joined("b"))
    for rooms in (["b", "a"], ["a"], ["a", "b", "c"], ["a", "c"]):
        with pytest.raises(ValueError, match="other rooms"):
            StreamPosition(rooms).move_to(position.id)
    start = StreamPosition(["a"]).id.removesuffix("-")
    for part in ("", "e1", ":1", "e1:", "e1:-1", "e1:1.0", "e 1:1", "e1:" + "9" * 16):
        with pytest.raises(ValueError, match="a position"):
            StreamPosition(["a"]).move_to(start + part)


def test_positions_that_are_lost_can_not_be_those_of_a_room():
    assert StreamPosition(["a"]).lost() == {"a": Position("-", 0)}


def test_a_payload_with_line_breaks_is_one_event():
    payload = b'{\r\n "a": 1,\n\n "b": "x\\ny",\r "c": 2 }'
    position = StreamPosition(["a"])
    [(_, _, message)] = read(
        position.stamp(protocol.encode_publication("a", publication(1, payload)))
    )
    assert message["data"] == {"a": 1, "b": "x\ny", "c": 2}


def test_the_last_event_says_whether_to_come_back():
    final = protocol.encode_disconnect(CloseCode.INVALID_TOKEN, "invalid token")
    assert read(final) == [
        (
            "closed",
            "",
            {"type": "closed", "code": 3500, "message": "invalid token", "reconnect": False},
        )
    ]
    assert "retry" not in final
    shutdown = protocol.encode_disconnect(CloseCode.SHUTDOWN, "shutdown")
    assert read(shutdown)[0][2]["reconnect"] is True
    assert shutdown.startswith("retry: ")
    assert read(encode_end(111, "too many", is_temporary=True))[0][2]["reconnect"] is True


def test_clients_come_back_at_different_times():
    assert len({retry(1_000, 5_000) for _ in range(20)}) > 1


def test_a_room_that_may_not_be_entered_is_an_event():
    [(name, _, message)] = read(protocol.encode_refusal("staff"))
    assert (name, message["room"], message["code"]) == ("refused", "staff", 103)


def test_a_stream_takes_no_messages():
    for method in (protocol.decode, lambda text: protocol.split(text, 1)):
        with pytest.raises(ProtocolError):
            method("{}")


def test_the_url_names_the_rooms_and_a_position():
    assert rooms_in("room=a&ticket=x&room=b%2Fc&room=a") == ["a", "b/c"]
    assert rooms_in("ticket=x") == []
    assert since_in("room=a") == ""
    assert since_in("since=abc,e:1&room=a") == "abc,e:1"
    with pytest.raises(ValueError, match="decode"):
        rooms_in("room=%ff")


ODD = [
    "é",
    "\u2028\u2029\u0085",
    "\u202e",
    "\\u0000",
    "\N{GRINNING FACE}",
    "id: x",
    ":\\n\\n: y",
    " ",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_text_is_delivered_byte_for_byte(text):
    payload = f'{{"{text}": "{text}"}}'.encode()
    position = StreamPosition(["a"])
    stream = position.stamp(protocol.encode_publication("a", publication(1, payload)))
    assert payload.decode() in stream
    [(_, _, message)] = read(stream)
    assert message["data"] == json.loads(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(json_values, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_any_value_in_any_layout_is_one_event(value, indent, is_ascii):
    try:
        payload = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair, which is never published
    position = StreamPosition(["a"])
    events = read(position.stamp(2 * protocol.encode_publication("a", publication(1, payload))))
    assert [message["data"] for _, _, message in events] == [value, value]


rooms = st.lists(st.sampled_from(["a", "b", "c/d", "_user/1"]), min_size=1, unique=True)


@given(st.data(), rooms)
def test_every_id_is_read_back_as_what_the_client_has_got(data, rooms):
    position, known, stream = StreamPosition(rooms), {}, []
    expected = []
    for room in data.draw(st.lists(st.sampled_from(rooms), max_size=20)):
        if room not in known:
            known[room] = Position("e" + str(rooms.index(room)), 5)
            stream.append(joined(room, known[room].epoch, 5))
        else:
            known[room] = Position(known[room].epoch, known[room].offset + 1)
            stream.append(protocol.encode_publication(room, publication(known[room].offset)))
        expected.append(dict(known))
    # However the events are put together.
    cut = data.draw(st.integers(0, len(stream)))
    text = position.stamp("".join(stream[:cut])) + position.stamp("".join(stream[cut:]))
    ids = [id for _, id, _ in read(text)]
    assert [StreamPosition(rooms).move_to(id) for id in ids] == expected
