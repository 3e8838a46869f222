"""Engine.IO: packets, payloads, and what refuses a request."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocols import engineio
from realtime.protocols.engineio import PayloadError, Refused

packets = st.one_of(
    st.binary(),
    st.builds(
        lambda kind, data: kind + data,
        st.sampled_from("0123456"),
        st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"])),
    ),
)


@given(st.lists(packets, min_size=1))
def test_a_payload_is_read_as_it_was_written(some):
    assert list(engineio.decode_payload(engineio.encode_payload(some))) == some


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        read = list(engineio.decode_payload(text))
    except PayloadError:
        return
    assert list(engineio.decode_payload(engineio.encode_payload(read))) == read


def test_a_payload_looks_as_in_the_specification_of_engine_io():
    payload = engineio.encode_payload(["4hello", "2", b"\x01\x02\x03\x04"])
    assert payload == "4hello\x1e2\x1ebAQIDBA=="


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "x",
        "7",
        "4a\x1e",
        "\x1e4a",
        "4a\x1e\x1e4b",
        "b*",
        "bAQID BA==",
        "bé",
        "b=",
        "\U0001f600",
    ],
)
def test_what_is_no_packet_is_refused(payload):
    with pytest.raises(PayloadError):
        list(engineio.decode_payload(payload))


def test_packets_before_a_broken_one_are_read():
    reading = engineio.decode_payload("4a\x1ex")
    assert next(reading) == "4a"
    with pytest.raises(PayloadError):
        next(reading)


def test_packets_that_are_not_asked_for_are_not_read():
    reading = engineio.decode_payload("4a\x1e" * 1_000 + "x")
    assert next(reading) == "4a"


def test_the_first_packet_tells_the_client_what_it_has_to_keep(settings):
    settings.REALTIME = {"PING_SECONDS": 20, "PONG_SECONDS": 2.5, "FRAME_MAX_BYTES": 1_000}
    packet = engineio.open_packet("abc", ("websocket",))
    assert packet[0] == engineio.OPEN
    assert json.loads(packet[1:]) == {
        "sid": "abc",
        "upgrades": ["websocket"],
        "pingInterval": 20_000,
        "pingTimeout": 2_500,
        "maxPayload": 1_000,
    }


def test_a_refusal_has_the_body_that_engine_io_gives():
    assert json.loads(Refused.UNKNOWN_SID.body) == {"code": 1, "message": "Session ID unknown"}
    assert [json.loads(each.body)["code"] for each in Refused] == list(range(6))
