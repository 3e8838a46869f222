"""The wire format of Protocol Buffers, against its own library."""

import time

import pytest
from google.protobuf.wrappers_pb2 import StringValue, UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocols.protobuf.fields import (
    Malformed,
    delimited,
    field,
    of_entries,
    of_number,
    of_text,
    read_fields,
    read_varint,
    varint,
)


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_what_the_library_writes(number):
    assert of_number(1)(number) == UInt64Value(value=number).SerializeToString()
    assert read_varint(b"x" + varint(number), 1) == (number, 1 + len(varint(number)))


@given(st.text())
def test_a_text_is_what_the_library_writes(text):
    assert of_text(1)(text) == StringValue(value=text).SerializeToString()


def test_a_text_that_is_not_unicode_is_written_all_the_same():
    assert of_text(1)("\ud83d") == b"\x0a\x01?"


def test_a_map_is_a_message_for_each_entry():
    entries = of_entries(6, lambda value: of_number(2)(value))
    assert (
        entries({"a": 5, "b": 0}) == b"\x32\x07\x0a\x01a\x12\x02\x10\x05\x32\x05\x0a\x01b\x12\x00"
    )


def test_fields_come_with_their_tags():
    message = of_number(1)(300) + field(2, b"two") + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    read = list(read_fields(message, 4))
    assert read == [(8, 300), (18, b"two"), (25, bytes(8)), (37, bytes(4))]
    assert list(read_fields(b"", 0)) == []


def test_a_message_stands_behind_its_length():
    assert delimited(b"") == b"\x00"
    assert delimited(b"x" * 300) == b"\xac\x02" + b"x" * 300


@pytest.mark.parametrize(
    "data",
    [
        *[b"\x80", b"\xff" * 9, b"\xff" * 10, b"\x80" * 9 + b"\x02", b"\x80" * 100_000],
    ],
)
def test_a_number_that_is_cut_off_or_too_large_is_refused(data):
    with pytest.raises(Malformed, match="a number"):
        read_varint(data, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00", "number"),  # the number 0
        (b"\x07", "number"),
        (b"\x80\x80\x80\x80\x10", "number"),  # beyond 2**29
        (b"\x08", "a number is cut off"),
        (b"\x08\x80", "a number is cut off"),
        (b"\x0a", "a number is cut off"),
        (b"\x0a\x05abcd", "cut off"),
        (b"\x0a" + varint(2**31), "cut off"),
        (b"\x0a" + varint(2**63), "cut off"),
        (b"\x0d\x00\x00\x00", "cut off"),
        (b"\x09\x00\x00\x00\x00\x00\x00\x00", "cut off"),
        (b"\x0b\x0c", "valid type"),  # a group
        (b"\x0c\x00", "valid type"),
        (b"\x0e\x00", "valid type"),
        (b"\x0f\x00", "valid type"),
        (b"\x08\x00" * 11, "too many fields"),
    ],
)
def test_what_is_no_message_is_refused(data, reason):
    with pytest.raises(Malformed, match=reason):
        list(read_fields(data, 10))


def test_a_message_of_fields_without_end_costs_no_more_than_those_that_are_allowed():
    started = time.monotonic()
    with pytest.raises(Malformed, match="too many fields"):
        list(read_fields(b"\x08\x00" * 5_000_000, 100))
    assert time.monotonic() - started < 5


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data):
    try:
        total = sum(1 for _ in read_fields(data, 100))
    except Malformed:
        return
    assert total <= len(data) / 2
