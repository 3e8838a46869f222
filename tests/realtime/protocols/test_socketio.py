"""Socket.IO's protocol, without sockets.

Long, because it has more kinds of packets than the other protocols.
"""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.codes import CloseCode, Error, UnsubscribeCode
from realtime.protocols.base import ProtocolError
from realtime.protocols.requests import CloseSession, Command, MalformedCommand, RefusedCommand
from realtime.protocols.socketio import PART, SocketIOProtocol
from realtime.protocols.socketio_positions import Journal
from realtime.rooms.publications import ClientInfo, Publication, publication_body


@pytest.fixture(autouse=True)
def mapped(settings):
    settings.REALTIME = {
        **settings.REALTIME,
        "SOCKETIO_EVENTS": {"chat message": "lobby"},
        "SOCKETIO_NAMESPACES": ["/shop", "blog/"],
        "FRAME_MAX_BYTES": 1_000,
    }


@pytest.fixture
def protocol():
    return connected()


def connected(packet="40", journal=None):
    protocol = SocketIOProtocol(journal or Journal())
    command = protocol.decode(packet)
    protocol.pid = "p"
    protocol.encode_reply(command, {"client": "c"})
    return protocol


def payload(command):
    return json.loads(bytes(command.body.data))


def publication(data, offset=7):
    return Publication(offset, publication_body(json.dumps(data).encode(), None))


class Test_connecting:
    def test_the_credential_is_in_auth(self):
        protocol = SocketIOProtocol(Journal())
        command = protocol.decode('40{"pid":"p","offset":"o","token":"t","other":1}')
        assert (command.id, command.name) == (0, "connect")
        assert (command.body.token, command.body.pid, command.body.offset) == ("t", "p", "o")

    def test_the_reply_has_an_id_and_another_one_to_come_back_with(self):
        protocol = SocketIOProtocol(Journal())
        command = protocol.decode("40")
        protocol.pid = "p"
        assert protocol.encode_reply(command, {"client": "c"}) == ['40{"sid":"c","pid":"p"}']

    def test_without_recovery_there_is_no_other_id_and_no_position(self):
        protocol = SocketIOProtocol(Journal())
        command = protocol.decode('40{"recovery":false}')
        assert protocol.encode_reply(command, {"client": "c"}) == ['40{"sid":"c"}']
        assert protocol.encode_publication("lobby", publication(1)) == '42["chat message",1]'
        assert protocol.name != connected().name

    @pytest.mark.parametrize("packet", ["40/shop", "40/shop,", '40/blog,{"token":"t"}'])
    def test_namespaces_are_those_of_the_settings(self, packet):
        protocol = connected(packet)
        address = packet[2:].partition(",")[0] + ","
        assert protocol.encode_notice("x").startswith(f"42{address}[")
        assert protocol.name != connected().name

    def test_an_unknown_namespace_is_refused_as_socketio_does(self, protocol):
        for name in ("/nowhere", "/shop/more", "/" + 1_000 * "x"):
            refused = protocol.decode(f"40{name},{{}}")
            assert isinstance(refused, RefusedCommand)
            frame = protocol.encode_error(refused.id, refused.error)
            assert frame.startswith(f"44{name},")
            assert json.loads(frame[3 + len(name) :])["message"] == "Invalid namespace"
        assert protocol.encode_notice("x").startswith('42["notice"')

    def test_an_error_before_it_is_connected_is_one_of_the_connect(self):
        protocol = SocketIOProtocol(Journal())
        protocol.decode("40/shop,")
        assert protocol.encode_error(0, Error.TOKEN_EXPIRED) == (
            '44/shop,{"message":"token expired","data":{"code":109}}'
        )
        assert protocol.encode_disconnect(CloseCode.INVALID_TOKEN, "a reason") == (
            '44/shop,{"message":"a reason","data":{"code":3500}}'
        )
        # The client library comes back by itself.
        assert protocol.encode_disconnect(CloseCode.SHUTDOWN, "shutdown") == ""

    def test_auth_that_is_wrong_is_refused(self):
        assert isinstance(SocketIOProtocol(Journal()).decode('40{"token":5}'), MalformedCommand)
        assert isinstance(SocketIOProtocol(Journal()).decode("40[]"), MalformedCommand)


class Test_events:
    def test_a_mapped_event_is_a_message_for_its_room(self, protocol):
        command = protocol.decode('42["chat message","hello",{"n":1}]')
        assert (command.id, command.name, command.body.channel) == (0, "publish", "lobby")
        assert payload(command) == {"event": "chat message", "args": ["hello", {"n": 1}]}

    def test_it_comes_out_as_the_same_event_with_its_position_behind(self, protocol):
        frame = protocol.encode_publication(
            "lobby", publication({"event": "chat message", "args": ["hello", {"n": 1}]})
        )
        name, *args, position = json.loads(frame[2:])
        assert (frame[:2], name, args) == ("42", "chat message", ["hello", {"n": 1}])
        assert isinstance(position, str)

    def test_what_the_site_publishes_is_named_by_the_payload_or_the_mapping(self, protocol):
        def event(room, data):
            return json.loads(protocol.encode_publication(room, publication(data))[2:])[:-1]

        assert event("news", {"args": [1], "event": "n"}) == ["n", 1]
        assert event("lobby", {"text": "x"}) == ["chat message", {"text": "x"}]
        about = {"room": "news", "offset": 7, "user": None, "data": [1]}
        assert event("news", [1]) == ["publication", about]

    @pytest.mark.parametrize("name", ["disconnect", "connect_error", "closed", "unsubscribed"])
    def test_no_payload_poses_as_an_event_of_the_server(self, protocol, name):
        frame = protocol.encode_publication("news", publication({"event": name, "args": []}))
        assert json.loads(frame[2:])[0] == "publication"

    @pytest.mark.parametrize(
        "data",
        [{"event": 1, "args": []}, {"event": "n", "args": 1}, {"event": "n", "args": [], "x": 1}],
    )
    def test_other_objects_are_no_events(self, protocol, data):
        frame = protocol.encode_publication("news", publication(data))
        assert json.loads(frame[2:])[0] == "publication"

    @pytest.mark.parametrize(
        ("event", "name", "body"),
        [
            ('["join","r"]', "subscribe", {"channel": "r", "recover": False}),
            ('["join","r",{"presence":true}]', "subscribe", {"join_leave": True}),
            (
                '["join","r",{"epoch":"e","offset":3}]',
                "subscribe",
                {"recover": True, "epoch": "e", "offset": 3},
            ),
            ('["leave","r"]', "unsubscribe", {"channel": "r"}),
            ('["publish","r",[1]]', "publish", {"channel": "r", "data": b"[1]"}),
            ('["history","r"]', "history", {"channel": "r", "limit": -1}),
            ('["history","r",{"limit":3,"reverse":true}]', "history", {"limit": 3}),
            ('["presence","r"]', "presence", {"channel": "r"}),
            ('["presence_stats","r"]', "presence_stats", {"channel": "r"}),
            ('["refresh","t"]', "refresh", {"token": "t"}),
            ('["orders.count"]', "rpc", {"method": "orders.count", "data": b"null"}),
            ('["orders.count",1]', "rpc", {"data": b"1"}),
            ('["orders.count",1,2]', "rpc", {"data": b"[1,2]"}),
        ],
    )
    def test_other_events_are_commands_and_calls(self, protocol, event, name, body):
        command = protocol.decode(f"420{event}")
        assert (command.id, command.name) == (1, name)
        for key, value in body.items():
            found = getattr(command.body, key)
            assert (bytes(found) if isinstance(value, bytes) else found) == value

    @pytest.mark.parametrize(
        "event",
        [
            '["join"]',
            '["join","r",{},1]',
            '["join",null]',
            '["join","r",{"epoch":"e","offset":-1}]',
            '["join","r",{"epoch":"e","offset":99999999999999999999999}]',
            '["publish","r"]',
            '["history","r",{"limit":"x"}]',
            '["chat message","\\ud800"]',
            '["x",' + 600 * "[" + 600 * "]" + "]",
        ],
    )
    def test_wrong_arguments_are_answered(self, protocol, event):
        command = protocol.decode(f"425{event}")
        if isinstance(command, Command):  # which the publishing refuses
            assert command.name == "publish"
        else:
            assert isinstance(command, MalformedCommand)
            frame = protocol.encode_error(command.id, command.error)
            assert frame.startswith('435[{"error":{"code":107,"message":"bad request: ')

    @pytest.mark.parametrize(
        "packet",
        [
            *("", "7", "x", "2", "2probe", "4", "47", "48[]", "49", "4x", "42", "42{}", '42"x"'),
            *("42[]", "42[1]", "42[null]", '42["disconnect"]', "42[", '42["x"', '42["x"]]'),
            *("40", "42/shop,[]", '42/shop,["x"]', "41/shop", '45["x"]', '451["x"]', '421-["x"]'),
            *('4599999999-["x"]', '42999999999999999999["x"]', "430", "43{}", "40{"),
        ],
    )
    def test_what_socketio_closes_for_is_an_error(self, protocol, packet):
        with pytest.raises(ProtocolError):
            protocol.decode(packet)

    def test_before_the_connect_nothing_is_taken(self):
        with pytest.raises(ProtocolError):
            SocketIOProtocol(Journal()).decode('42["join","r"]')

    def test_the_client_says_that_it_goes(self, protocol):
        with pytest.raises(CloseSession) as closing:
            protocol.decode("41")
        assert closing.value.code is CloseCode.NORMAL
        assert protocol.encode_disconnect(CloseCode.NORMAL, "normal") == ""

    @pytest.mark.parametrize("packet", ["0", "1", "5", "6", "430[]", '44"x"'])
    def test_what_nobody_waits_for_is_ignored(self, protocol, packet):
        assert protocol.decode(packet) is PART

    def test_a_pong_is_one(self, protocol):
        assert protocol.decode("3").name == "pong"


class Test_attachments:
    def test_they_follow_their_packet(self, protocol):
        packet = (
            '452-7["chat message",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]'
        )
        assert protocol.decode(packet) is PART
        assert protocol.decode("3").name == "pong"
        assert protocol.decode(b"first") is PART
        command = protocol.decode(b"second")
        assert command.id == 8
        encoded = [{"$binary": base64.b64encode(text).decode()} for text in (b"second", b"first")]
        assert payload(command)["args"] == [encoded[0], [encoded[1]]]

    def test_they_come_out_behind_their_packet(self, protocol):
        data = {"event": "picture", "args": [{"$binary": "AAE="}, {"$binary": ""}, "end"]}
        text, *attachments = protocol.encode_publication("lobby", publication(data))
        head, body = text.split("-", 1)
        assert (head, attachments) == ("452", [b"\x00\x01", b""])
        places = [{"_placeholder": True, "num": n} for n in (0, 1)]
        assert json.loads(body)[:-1] == ["picture", *places, "end"]

    def test_an_acknowledgement_has_them_too(self, protocol):
        [frame] = protocol.encode_reply(Command(3, "rpc"), {"data": {"bytes": {"$binary": "AAE="}}})
        assert frame == ('461-2[{"bytes":{"_placeholder":true,"num":0}}]', b"\x00\x01")

    @pytest.mark.parametrize(
        "value", [{"$binary": "x"}, {"$binary": "AA=A"}, {"$binary": 1}, {"$binary": "", "x": 1}]
    )
    def test_what_is_no_base64_stays_as_it_is(self, protocol, value):
        frame = protocol.encode_publication("news", publication(value))
        assert isinstance(frame, str) and json.loads(frame[2:])[1]["data"] == value

    @pytest.mark.parametrize("key", ["_placeholder", "\\u005fplaceholder", "_pl\\u0061ceholder"])
    def test_nobody_can_break_the_places_of_others(self, protocol, key):
        data = '[{"$binary":"AAE="},{"key":true,"num":9}]'.replace("key", key)
        frame = protocol.encode_publication(
            "news", Publication(1, publication_body(data.encode(), None))
        )
        assert isinstance(frame, str)

    @given(
        st.recursive(
            st.binary(max_size=5) | st.text(max_size=5) | st.integers(-5, 5) | st.none(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
        )
    )
    def test_whatever_goes_in_comes_out(self, value):
        journal = Journal()
        sender = connected(journal=journal)
        sent, attachments = [], []
        for each in [value, value]:
            sent.append(_without_bytes(each, attachments))
        command = sender.decode(
            f"45{len(attachments)}-" + json.dumps(["chat message", *sent])
            if attachments
            else "42" + json.dumps(["chat message", *sent])
        )
        for attachment in attachments:
            assert command is PART
            command = sender.decode(attachment)
        body = publication_body(bytes(command.body.data), None)
        frame = sender.encode_publication("lobby", Publication(1, body))
        text, *received = frame if isinstance(frame, tuple) else (frame,)
        name, *args, _ = json.loads(text[text.index("[") :])
        assert name == "chat message"
        assert [_with_bytes(each, received) for each in args] == [value, value]

    def test_a_packet_before_its_attachments_is_an_error(self, protocol):
        protocol.decode('451-["chat message",{"_placeholder":true,"num":0}]')
        with pytest.raises(ProtocolError):
            protocol.decode('42["x"]')

    def test_an_attachment_without_a_packet_is_an_error(self, protocol):
        with pytest.raises(ProtocolError):
            protocol.decode(b"x")

    def test_a_place_without_an_attachment_is_an_error(self, protocol):
        protocol.decode('451-["x",{"_placeholder":true,"num":1}]')
        with pytest.raises(ProtocolError):
            protocol.decode(b"x")

    def test_together_they_are_not_larger_than_a_frame(self, protocol):
        protocol.decode('453-["x",{"_placeholder":true,"num":0}]')
        assert protocol.decode(600 * b"x") is PART
        with pytest.raises(ProtocolError):
            protocol.decode(401 * b"x")

    def test_a_refused_packet_takes_its_attachments_with_it(self, protocol):
        assert protocol.id_in('452-7["x"]') == 8
        assert protocol.decode(b"1") is PART
        assert protocol.decode(b"2") is PART
        assert protocol.decode('42["x"]').name == "rpc"

    def test_a_refused_attachment_takes_its_packet_with_it(self, protocol):
        protocol.decode('453-7["x"]')
        assert protocol.id_in(b"1") == 8
        assert protocol.decode(b"2") is PART
        assert protocol.decode(b"3") is PART
        assert protocol.decode('42["x"]').name == "rpc"


def _without_bytes(value, attachments):
    if isinstance(value, bytes):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, list):
        return [_without_bytes(each, attachments) for each in value]
    if isinstance(value, dict):
        return {key: _without_bytes(each, attachments) for key, each in value.items()}
    return value


def _with_bytes(value, attachments):
    if isinstance(value, list):
        return [_with_bytes(each, attachments) for each in value]
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            return attachments[value["num"]]
        return {key: _with_bytes(each, attachments) for key, each in value.items()}
    return value


class Test_answers:
    def test_an_acknowledgement_has_the_id_of_the_event(self, protocol):
        assert protocol.encode_reply(Command(1, "publish"), {}) == ["430[{}]"]
        assert protocol.encode_reply(Command(1, "rpc"), {"data": [1]}) == ["430[[1]]"]
        assert protocol.encode_reply(Command(0, "publish"), {}) == []

    def test_errors_without_an_acknowledgement_are_events(self, protocol):
        body = '{"code":103,"message":"permission denied"}'
        assert protocol.encode_error(1, Error.PERMISSION_DENIED) == f'430[{{"error":{body}}}]'
        assert protocol.encode_error(0, Error.PERMISSION_DENIED) == f'42["error",{body}]'

    def test_what_was_missed_follows_the_join(self, protocol):
        command = protocol.decode('421["join","news"]')
        reply = {"epoch": "e", "offset": 2, "recovered": True, "publications": [publication(1, 3)]}
        joined, missed = protocol.encode_reply(command, reply)
        about = {"room": "news", "epoch": "e", "offset": 2, "recovered": True}
        assert json.loads(joined[3:]) == [about]
        assert json.loads(missed[2:])[1]["offset"] == 3

    def test_the_own_events_end_in_an_object(self, protocol):
        # The client library takes a text at the end for the position of a publication.
        frames = [
            protocol.encode_presence("r", "join", ClientInfo("1", "c")),
            protocol.encode_rights(),
            protocol.encode_notice("text"),
            protocol.encode_subscribe("r", {"epoch": "e", "offset": 1}),
            protocol.encode_unsubscribe("r", UnsubscribeCode.BY_SERVER, "gone"),
            protocol.encode_disconnect(CloseCode.SHUTDOWN, "shutdown"),
            protocol.encode_error(0, Error.INTERNAL),
        ]
        for frame in frames:
            assert isinstance(json.loads(frame[2:])[-1], dict)

    def test_a_final_end_is_a_disconnect(self, protocol):
        assert protocol.encode_disconnect(CloseCode.FORCED, "because") == (
            '42["closed",{"code":3503,"reason":"because"}]',
            "41",
        )
