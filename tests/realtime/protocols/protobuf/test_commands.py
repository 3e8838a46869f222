"""Commands in Protobuf, against the classes that an official SDK has for them."""

import contextlib

import pytest
from centrifuge.protocol import client_pb2 as sdk
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocols.base import ProtocolError
from realtime.protocols.protobuf.commands import id_in, read_command
from realtime.protocols.protobuf.fields import field, varint
from realtime.protocols.requests import Command, CommandError, MalformedCommand


def read(**command):
    return read_command(sdk.Command(**command).SerializeToString())


def test_a_command_is_named_by_its_field():
    for name in ("connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats"):
        assert read(id=7, **{name: {}}).name == name
    for name in ("history", "ping", "rpc", "refresh", "sub_refresh", "send"):
        command = read(id=2**32 - 1, **{name: {}})
        assert (command.id, command.name) == (2**32 - 1, name)


def test_nothing_is_the_pong():
    assert read() == Command(0, "pong")
    assert read_command(b"\x08\x00") == Command(0, "pong")


def test_send_needs_no_id():
    assert bytes(read(send={"data": b"1"}).body.data) == b"1"


def test_bodies_are_those_of_json():
    connect = read(id=1, connect={"token": "t", "name": "js", "version": "5"}).body
    assert (connect.token, connect.name, connect.version) == ("t", "js", "5")
    history = read(id=1, history={"channel": "a", "limit": -1, "reverse": True}).body
    assert (history.channel, history.limit, history.reverse, history.since) == ("a", -1, True, None)
    since = read(id=1, history={"since": {"epoch": "e", "offset": 2**64 - 1}}).body.since
    assert (since.epoch, since.offset) == ("e", 2**53 - 1)
    rpc = read(id=1, rpc={"method": "orders.count"}).body
    assert (rpc.method, bytes(rpc.data)) == ("orders.count", b"null")
    assert read(id=1, refresh={"token": "new"}).body.token == "new"


def test_payloads_are_kept_as_they_are():
    publish = read(id=1, publish={"channel": "a", "data": b'{"b" :  1.0}\xff'}).body
    assert (publish.channel, bytes(publish.data)) == ("a", b'{"b" :  1.0}\xff')


OPTIONS = {
    "channel": st.text(),
    "recover": st.booleans(),
    "epoch": st.text(),
    "offset": st.integers(0, 2**64 - 1),
    "positioned": st.booleans(),
    "recoverable": st.booleans(),
    "join_leave": st.booleans(),
    "flag": st.integers(-(2**63), 2**63 - 1),
}


@given(st.integers(1, 2**32 - 1), st.fixed_dictionaries({}, optional=OPTIONS))
def test_a_subscription_is_what_the_sdk_has_written(id, options):
    command = read(id=id, subscribe=options)
    written = sdk.SubscribeRequest(**options)
    assert command.id == id
    for name in OPTIONS:
        assert getattr(command.body, name) == getattr(written, name)


def test_what_we_do_not_have_is_known_to_be_refused():
    assert read(id=1, subscribe={"tf": {"op": "and"}}).body.tf is not None
    assert read(id=1, subscribe={"tf": {}}).body.tf is not None
    assert read_command(b"\x08\x01" + field(5, b"\x78\x01")).body.type == 1
    for of_map in (b"\x18\x01", field(4, b"key")):
        refused = read_command(b"\x08\x01" + field(7, of_map))
        assert (refused.id, refused.error.code) == (1, 107)


def test_unknown_fields_are_skipped():
    unknown = field(99, b"x") + varint(98 << 3) + b"\x01" + varint(97 << 3 | 1) + bytes(8)
    body = sdk.SubscribeRequest(channel="a", delta="fossil").SerializeToString() + unknown
    command = read_command(b"\x08\x07" + unknown + field(5, body))
    assert (command.id, command.body.channel) == (7, "a")


class Test_the_rooms_of_a_connect:
    def test_are_read_when_they_are_needed(self):
        subs = {"a": {"recover": True, "offset": 7, "epoch": "e"}, "b": {}}
        rooms = read(id=1, connect={"subs": subs}).body.first_rooms(128)
        assert rooms["a"].recover and rooms["a"].offset == 7 and rooms["a"].epoch == "e"
        assert not rooms["b"].recover

    def test_are_read_up_to_the_limit(self):
        subs = {str(n): {} for n in range(1_000)}
        connect = read(id=1, connect={"subs": subs}).body
        assert len(connect.first_rooms(128)) == 128
        assert len(connect.first_rooms(5_000)) == 1_000

    def test_may_be_named_twice(self):
        entry = field(3, field(1, b"a") + field(2, b"\x18\x01"))
        connect = read_command(b"\x08\x01" + field(4, field(3, field(1, b"a")) + entry)).body
        assert connect.first_rooms(1)["a"].recover

    @pytest.mark.parametrize("entry", [b"\xff", field(1, b"\xff"), field(2, b"\x1a\x00")])
    def test_that_can_not_be_read_are_refused_after_authentication(self, entry):
        connect = read_command(b"\x08\x01" + field(4, field(3, entry))).body
        with pytest.raises(CommandError) as refused:
            connect.first_rooms(128)
        assert refused.value.error.code == 107
        assert "`subs`" in refused.value.error.message

    def test_are_bounded(self):
        refused = read_command(b"\x08\x01" + field(4, field(3, b"") * 10_001))
        assert (refused.id, refused.error.code) == (1, 107)


@pytest.mark.parametrize(
    "command",
    [
        *[b"", b"\x0a\x00", b"\x20\x01"],  # no command; the id as bytes; a command as a number
        *[field(11, b"") + field(11, b""), field(11, b"") + field(5, b"")],
        *[b"\x80", b"\x3a\x05abc", b"\x0b", b"\x3b", b"\x00", field(7, b"\x80")],
        *[field(7, field(1, b"\xff")), field(7, b"\x08\x01"), field(7, b"\x10\x01")],
        *[field(5, field(3, b"1")), field(5, field(7, b"1")), field(5, b"\x08\x05")],
        *[field(10, field(8, b"") * 2), field(10, field(8, b"\xff")), field(10, b"\x40\x01")],
        *[b"\x0d" + bytes(4), b"\x39" + bytes(8), field(5, b"\x39" + bytes(8))],  # fixed numbers
        *[field(4, b"\x18\x01"), field(4, field(1, b"\xff")), field(9, b"\x00")],
        *[field(5, b"\x08\x00" * 200), field(5, b"\x98\x06\x00" * 200), b"\x98\x06\x00" * 200],
    ],
)
def test_a_malformed_command_with_an_id_is_answered_with_107(command):
    refused = read_command(b"\x08\x07" + command)
    assert isinstance(refused, MalformedCommand)
    assert (refused.id, refused.error.code) == (7, 107)
    with pytest.raises(ProtocolError):
        read_command(b"\x08\x00" + (command or field(11, b"")))


def test_a_send_that_can_not_be_read_is_dropped():
    refused = read_command(field(12, b"\x80"))
    assert (refused.id, refused.error.code) == (0, 107)


def test_the_id_of_a_command_is_found_without_reading_it():
    assert id_in(sdk.Command(id=300, ping={}).SerializeToString()) == 300
    assert id_in(field(11, b"")) == id_in(b"\x08") == id_in(b"") == id_in(b"\x08\xff") == 0


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda it: b"\x08\x07" + field(5, it)))
def test_no_bytes_break_the_reader_and_what_it_reads_the_library_reads_as_well(data):
    with contextlib.suppress(ProtocolError):
        command = read_command(data)
        if not isinstance(command, Command):
            return
        try:
            read = sdk.Command.FromString(data)
        except DecodeError:
            # Messages in fields that we skip are read there.
            return
        assert read.id == command.id
        if command.name == "subscribe":
            assert read.subscribe.channel == command.body.channel
            assert read.subscribe.offset == command.body.offset


@given(st.integers(1, 2**32 - 1), st.text(max_size=150), st.binary(max_size=300))
def test_a_publication_is_what_the_sdk_has_written(id, channel, data):
    command = read(id=id, publish={"channel": channel, "data": data})
    assert (command.id, command.name) == (id, "publish")
    assert (command.body.channel, bytes(command.body.data)) == (channel, data)


@given(
    st.lists(
        st.sampled_from(
            [
                b"\x08\x07",
                b"\x08\x00",
                b"\x3a\x08",
                b"\x0a\x01a",
                b"\x12\x031.0",
                b"\x12\x00",
                b"\x80",
            ]
        ),
        max_size=6,
    ).map(b"".join)
)
def test_a_publication_in_another_order_is_read_as_the_library_reads_it(data):
    with contextlib.suppress(ProtocolError, DecodeError):
        command = read_command(data)
        if isinstance(command, Command) and command.name == "publish":
            read = sdk.Command.FromString(data)
            assert (command.id, command.body.channel) == (read.id, read.publish.channel)
            assert bytes(command.body.data) == read.publish.data
