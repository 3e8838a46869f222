"""Replies and pushes in Protobuf, as the classes of an official SDK read them."""

import json

import msgspec
import pytest
from centrifuge.protocol import client_pb2 as sdk
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocols.protobuf.fields import read_varint
from realtime.protocols.protobuf.replies import (
    write_error,
    write_publication,
    write_push,
    write_reply,
)
from realtime.rooms.publications import ClientInfo, Publication, html_body, publication_body

ALICE = ClientInfo(user="7", client="c", conn_info={"name": "alice"})


def reply_in(frame):
    size, begin = read_varint(frame, 0)
    assert len(frame) == begin + size
    return sdk.Reply.FromString(frame[begin:])


def publication(offset, data=b"[1]", info=ALICE):
    return Publication(offset, publication_body(data, info and msgspec.json.encode(info)))


def test_a_connect_is_answered_with_all_that_json_has():
    result = {
        "client": "c", "version": "realtime 1", "expires": True, "ttl": 299, "ping": 25,
        "pong": True, "data": {"user_room": "_user/1"},
        "subs": {"a": {"recoverable": True, "positioned": True, "epoch": "e", "offset": 2**40}},
    }  # fmt: skip
    read = reply_in(write_reply(2**32 - 1, "connect", result))
    assert read.id == 2**32 - 1
    assert (read.connect.client, read.connect.version) == ("c", "realtime 1")
    assert (read.connect.expires, read.connect.ttl, read.connect.ping) == (True, 299, 25)
    assert read.connect.pong and json.loads(read.connect.data) == {"user_room": "_user/1"}
    sub = read.connect.subs["a"]
    assert (sub.recoverable, sub.positioned, sub.epoch, sub.offset) == (True, True, "e", 2**40)


def test_a_subscribe_has_what_was_missed_and_the_state():
    result = {
        "recoverable": True, "positioned": True, "epoch": "e", "offset": 2,
        "was_recovering": True, "recovered": True, "data": msgspec.Raw(b'{"n" : 1}'),
        "publications": [publication(3, b'{"a" :1}'), publication(4, b"[]", None)],
        "expires": True, "ttl": 5,
    }  # fmt: skip
    read = reply_in(write_reply(1, "subscribe", result)).subscribe
    assert read.was_recovering and read.recovered and read.data == b'{"n" : 1}'
    assert [(each.offset, each.data) for each in read.publications] == [
        (3, b'{"a" :1}'),
        (4, b"[]"),
    ]
    assert read.publications[0].info.user == "7"
    assert not read.publications[1].HasField("info")
    assert (read.expires, read.ttl) == (True, 5)


def test_the_other_replies():
    assert reply_in(write_reply(1, "publish", {})).HasField("publish")
    assert reply_in(write_reply(1, "unsubscribe", {})).HasField("unsubscribe")
    assert reply_in(write_reply(1, "ping", {})).HasField("ping")
    assert reply_in(write_reply(1, "rpc", {"data": msgspec.Raw(b"null")})).rpc.data == b"null"
    counts = reply_in(write_reply(1, "presence_stats", {"num_clients": 3, "num_users": 2}))
    assert (counts.presence_stats.num_clients, counts.presence_stats.num_users) == (3, 2)
    (there,) = reply_in(
        write_reply(1, "presence", {"presence": {"c": ALICE}})
    ).presence.presence.items()
    assert (there[0], there[1].user, there[1].conn_info) == ("c", "7", b'{"name":"alice"}')
    page = {"publications": [publication(1)], "epoch": "e", "offset": 1}
    history = reply_in(write_reply(1, "history", page)).history
    assert (history.epoch, history.offset, len(history.publications)) == ("e", 1, 1)
    refreshed = reply_in(write_reply(1, "refresh", {"client": "c", "expires": False})).refresh
    assert (refreshed.client, refreshed.expires) == ("c", False)
    assert reply_in(write_reply(1, "sub_refresh", {"expires": True, "ttl": 9})).sub_refresh.ttl == 9


def test_errors_include_whether_to_retry():
    read = reply_in(write_error(5, {"code": 100, "message": "é", "temporary": True}))
    assert (read.id, read.error.code, read.error.message, read.error.temporary) == (
        5,
        100,
        "é",
        True,
    )


@given(
    st.integers(0, 2**53),
    st.binary(max_size=300).map(lambda it: json.dumps(it.hex()).encode()),
    st.none() | st.builds(ClientInfo, user=st.text(), client=st.text(), conn_info=st.text()),
)
def test_a_publication_has_the_exact_payload_and_its_sender(offset, data, info):
    read = reply_in(write_publication("lobby", publication(offset, data, info))).push
    assert (read.channel, read.pub.data, read.pub.offset) == ("lobby", data, offset)
    if info is None:
        assert not read.pub.HasField("info")
    else:
        assert (read.pub.info.user, read.pub.info.client) == (info.user, info.client)
        assert json.loads(read.pub.info.conn_info) == info.conn_info


def test_a_publication_keeps_its_tags():
    read = reply_in(write_publication("lobby", Publication(1, html_body(b'"<p>"')))).push
    assert dict(read.pub.tags) == {"realtime": "html"}


def test_a_body_that_is_damaged_is_an_error_that_the_fan_out_expects():
    for body in (b"", b"{}", b"[]", b'{"data":1,"info":5}', b"\xff"):
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            write_publication("lobby", Publication(1, body))


def test_pushes():
    for event in ("join", "leave"):
        push = reply_in(write_push(event, {"info": ALICE}, "lobby")).push
        info = getattr(push, event).info
        assert (push.channel, info.user, info.conn_info) == ("lobby", "7", b'{"name":"alice"}')
    push = reply_in(write_push("unsubscribe", {"code": 2000, "reason": "gone"}, "lobby")).push
    assert (push.unsubscribe.code, push.unsubscribe.reason) == (2000, "gone")
    message = reply_in(write_push("message", {"data": {"realtime": "rights"}})).push
    assert (message.channel, message.message.data) == ("", b'{"realtime":"rights"}')
    entered = {
        "recoverable": True,
        "positioned": True,
        "epoch": "e",
        "offset": 4,
        "recovered": True,
    }
    push = reply_in(write_push("subscribe", entered, "lobby")).push
    assert (push.subscribe.epoch, push.subscribe.offset) == ("e", 4)
