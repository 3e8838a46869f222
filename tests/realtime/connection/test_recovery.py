"""Recovery on both layers: a client gets all missed messages in order, or a plain no."""

import asyncio

import pytest
from django.contrib.auth.models import User

from realtime.authentication import Identity
from realtime.models import Membership, Room
from realtime.rooms.publications import Position
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

REJECT_UNRECOVERED = 2


@pytest.fixture
def hub_layer(either_layer):
    return either_layer


def offsets(reply):
    return [publication["offset"] for publication in reply.get("publications", [])]


@pytest.fixture
def say(connected):
    """Publish numbers to the lobby, without being in it."""

    async def _say(*numbers, room="lobby"):
        for number in numbers:
            assert "publish" in await call(connected, publish={"channel": room, "data": number})

    return _say


@pytest.fixture
async def member(open_session, alice):
    session = open_session(Identity(alice))
    await call(session, connect={})
    return session


async def epoch_of(node, room="lobby"):
    return (await node.layer.history(room)).position.epoch


# What is in the stream; where the client says that it is (None: at the room's own epoch); what it
# gets: whether it is recovered, and which offsets.
MATRIX = {
    "an empty room, from its beginning": (0, {}, 0, None, True, []),
    "everything, having received nothing": (5, {}, 0, None, True, [1, 2, 3, 4, 5]),
    "what is after a position": (5, {}, 3, None, True, [4, 5]),
    "nothing, when nothing was missed": (5, {}, 5, None, True, []),
    "a position that is not there yet": (5, {}, 6, None, False, []),
    "the last position that the protocol has": (5, {}, 2**64 - 1, None, False, []),
    "the epoch of another numbering": (5, {}, 3, "other", False, []),
    "any epoch": (5, {}, 3, "", True, [4, 5]),
    "everything, in any epoch": (5, {}, 0, "", True, [1, 2, 3, 4, 5]),
    "a position that is not there yet, in any epoch": (5, {}, 6, "", False, []),
    "everything, in any epoch, of a trimmed room": (8, {"history_size": 3}, 0, "", False, []),
    "a position that was trimmed away": (8, {"history_size": 3}, 4, None, False, []),
    "the oldest position that is whole": (8, {"history_size": 3}, 5, None, True, [6, 7, 8]),
    "as many as the server gives": (6, {}, 1, None, True, [2, 3, 4, 5, 6]),
    "one more than the server gives": (6, {}, 0, None, False, []),
    "a room that keeps nothing": (2, {"history_size": 0}, 1, None, False, []),
    "a room that keeps nothing, up to date": (2, {"history_size": 0}, 2, None, True, []),
}


@pytest.mark.parametrize("case", MATRIX)
@pytest.mark.parametrize("way", ["subscribe", "connect"])
async def test_the_recovery_matrix(say, open_session, alice, node, settings, case, way):
    count, options, offset, epoch, recovered, expected = MATRIX[case]
    settings.REALTIME = {"RECOVERY_MAX_MESSAGES": 5}
    await Room.objects.acreate(name="lobby", access=Room.Access.AUTHENTICATED, **options)
    await say(*range(1, count + 1))
    actual = await epoch_of(node)
    since = {"recover": True, "offset": offset, "epoch": actual if epoch is None else epoch}
    session = open_session(Identity(alice))
    if way == "subscribe":
        await call(session, connect={})
        reply = (await call(session, subscribe={"channel": "lobby", **since}))["subscribe"]
    else:
        reply = (await call(session, connect={"subs": {"lobby": since}}))["connect"]["subs"][
            "lobby"
        ]
    assert (reply["was_recovering"], reply["recovered"]) == (True, recovered)
    assert offsets(reply) == expected
    assert [publication["data"] for publication in reply.get("publications", [])] == expected
    position = offset if recovered else count
    assert (reply["epoch"], reply["offset"], reply["positioned"]) == (actual, position, True)
    assert reply["recoverable"] is (options.get("history_size") != 0)
    await say("live")
    pub = await session.transport.until(lambda frame: "pub" in frame.get("push", {}))
    assert (pub["push"]["pub"]["data"], pub["push"]["pub"]["offset"]) == ("live", count + 1)


async def test_a_client_that_is_interrupted_comes_back_for_the_rest(say, member, node, lobby):
    """The reply has the client's own position, which moves with each publication it handles."""
    await say(1, 2, 3)
    since = {"recover": True, "offset": 0, "epoch": await epoch_of(node)}
    got = []
    while len(got) < 3:
        reply = (await call(member, subscribe={"channel": "lobby", **since}))["subscribe"]
        since |= {"offset": reply["offset"], "epoch": reply["epoch"]}
        first = reply["publications"][0]  # it handles one, and is cut
        got.append(first["data"])
        since["offset"] = first["offset"]
        await call(member, unsubscribe={"channel": "lobby"})
    assert got == [1, 2, 3]


async def test_an_expired_stream_is_told(say, member, node):
    await Room.objects.acreate(
        name="lobby", access=Room.Access.AUTHENTICATED, history_ttl_seconds=1
    )
    await say(1, 2, 3)
    await asyncio.sleep(1.1)  # its time has to pass
    since = {"recover": True, "offset": 1, "epoch": await epoch_of(node)}
    reply = (await call(member, subscribe={"channel": "lobby", **since}))["subscribe"]
    assert (reply["recovered"], offsets(reply), reply["offset"]) == (False, [], 3)


async def test_more_than_a_connection_can_take_is_not_recovered(say, member, node, lobby, settings):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": 1000}
    await say("x" * 600, "x" * 600)
    since = {"recover": True, "offset": 0, "epoch": await epoch_of(node)}
    reply = (await call(member, subscribe={"channel": "lobby", **since}))["subscribe"]
    assert (reply["recovered"], offsets(reply)) == (False, [])


async def test_a_client_may_want_an_error_instead(say, member, node, lobby):
    await say(1)
    lost = {"recover": True, "offset": 0, "epoch": "other", "flag": REJECT_UNRECOVERED}
    assert (await call(member, subscribe={"channel": "lobby", **lost}))["error"]["code"] == 112
    assert "lobby" not in member.rooms
    whole = {**lost, "epoch": await epoch_of(node)}
    reply = (await call(member, subscribe={"channel": "lobby", **whole}))["subscribe"]
    assert offsets(reply) == [1]


async def test_without_a_position_everything_is_recovered(say, member, lobby):
    """A client that asks for an error instead of `recovered: false`, and has no position yet."""
    await say(1, 2)
    begin = {"recover": True, "flag": REJECT_UNRECOVERED}
    reply = (await call(member, subscribe={"channel": "lobby", **begin}))["subscribe"]
    assert (reply["recovered"], offsets(reply), reply["offset"]) == (True, [1, 2], 0)


async def test_without_asking_nothing_is_recovered(say, member, lobby):
    await say(1, 2)
    reply = (await call(member, subscribe={"channel": "lobby"}))["subscribe"]
    assert "publications" not in reply and "recovered" not in reply
    assert (reply["offset"], reply["recoverable"]) == (2, True)


async def test_rights_are_asked_again(say, open_session, node, lobby):
    mallory = await User.objects.acreate(username="mallory")
    room = await Room.objects.acreate(name="staff")
    membership = await Membership.objects.acreate(room=room, user=mallory)
    session = open_session(Identity(mallory))
    await call(session, connect={})
    reply = (await call(session, subscribe={"channel": "staff"}))["subscribe"]
    await call(session, unsubscribe={"channel": "staff"})
    await membership.adelete()
    since = {"recover": True, "offset": reply["offset"], "epoch": reply["epoch"]}
    refused = await call(session, subscribe={"channel": "staff", **since})
    assert refused["error"]["code"] == 103


async def test_rooms_that_are_closed_are_left_out_of_connect(open_session, alice, lobby, node):
    await Room.objects.acreate(name="staff")
    session = open_session(Identity(alice))
    reply = await call(session, connect={"subs": {"lobby": {}, "staff": {}, "absent": {}}})
    assert list(reply["connect"]["subs"]) == ["lobby"]
    assert list(session.rooms) == ["lobby"]


async def test_nothing_falls_between_reading_and_going_live(say, node, lobby, open_session, alice):
    """Members join with recovery, again and again, while publications come in."""

    async def speak():
        for number in range(1, 91):
            await say(number)
            await asyncio.sleep(0)
            while len(sessions) < number // 30:
                await asyncio.sleep(0)

    sessions = []
    speaking = asyncio.create_task(speak())
    epoch = await epoch_of(node)
    while not speaking.done():
        session = open_session(Identity(alice))
        await call(session, connect={})
        since = {"recover": True, "offset": 0, "epoch": epoch}
        reply = (await call(session, subscribe={"channel": "lobby", **since}))["subscribe"]
        assert reply["recovered"] is True
        sessions.append((session, offsets(reply)))
        await asyncio.sleep(0)
    await speaking
    assert len(sessions) > 2
    for session, recovered in sessions:
        if len(recovered) < 90:
            await session.transport.until(
                lambda frame: frame.get("push", {}).get("pub", {}).get("offset") == 90
            )
        live = [
            frame["push"]["pub"]["offset"]
            for frame in session.transport.frames
            if "pub" in frame.get("push", {})
        ]
        assert recovered + live == list(range(1, 91))


async def test_history_has_pages_a_position_and_its_right(say, member, lobby, settings):
    settings.REALTIME = {"RECOVERY_MAX_MESSAGES": 5}
    await say(*range(1, 9))

    async def read(**options):
        return (await call(member, history={"channel": "lobby", **options}))["history"]

    assert offsets(await read(limit=3)) == [1, 2, 3]
    position = await read(limit=0)
    assert (offsets(position), position["offset"]) == ([], 8)
    epoch = position["epoch"]
    assert offsets(await read(limit=3, since={"offset": 3, "epoch": epoch})) == [4, 5, 6]
    assert offsets(await read(limit=2, reverse=True)) == [8, 7]
    page = await read(limit=2, reverse=True, since={"offset": 7, "epoch": epoch})
    assert offsets(page) == [6, 5]
    assert offsets(await read(limit=-1)) == [1, 2, 3, 4, 5]
    assert offsets(await read(limit=100)) == [1, 2, 3, 4, 5]
    [publication] = (await read(limit=1))["publications"]
    assert publication["data"] == 1 and publication["info"]["conn_info"] == {"name": "alice"}
    far = {"offset": 2**64 - 1, "epoch": epoch}
    assert offsets(await read(limit=3, since=far)) == []
    assert offsets(await read(limit=2, reverse=True, since=far)) == [8, 7]
    lost = await call(
        member, history={"channel": "lobby", "limit": 1, "since": {"offset": 1, "epoch": "other"}}
    )
    assert lost["error"]["code"] == 112


async def test_history_answers_within_what_a_connection_can_take(say, member, lobby, settings):
    settings.REALTIME = {"RECOVERY_MAX_BYTES": 1000}
    await say("x" * 600, "x" * 600, "x" * 2000)
    for since, expected in ((0, [1]), (1, [2]), (2, [3])):
        reply = await call(
            member, history={"channel": "lobby", "limit": 9, "since": {"offset": since}}
        )
        assert offsets(reply["history"]) == expected


async def test_history_and_presence_have_their_rights(open_session, lobby):
    await Room.objects.acreate(name="staff")
    bare = {"history_size": 0, "presence": False}
    await Room.objects.acreate(name="bare", access=Room.Access.AUTHENTICATED, **bare)
    mallory = await User.objects.acreate(username="mallory")
    session = open_session(Identity(mallory))
    await call(session, connect={})
    for command in ("history", "presence", "presence_stats"):
        for room, code in (("staff", 103), ("absent", 103), ("bare", 108), ("", 107)):
            reply = await call(session, **{command: {"channel": room}})
            assert reply["error"]["code"] == code


async def test_a_client_that_does_not_read_gets_no_more_pages(say, member, lobby, node):
    await say(1)
    member.transport.is_congested = True
    since = {"recover": True, "offset": 0, "epoch": await epoch_of(node)}
    for command in (
        {"history": {"channel": "lobby", "limit": 5}},
        {"presence": {"channel": "lobby"}},
        {"subscribe": {"channel": "lobby", **since}},
    ):
        error = (await call(member, **command))["error"]
        assert (error["code"], error["temporary"]) == (111, True)
    assert "subscribe" in await call(member, subscribe={"channel": "lobby"})


async def test_python_reads_the_same(say, lobby, alice, node, hub_layer, monkeypatch):
    from realtime import ahistory, history

    monkeypatch.setattr("realtime.server_api.reading.get_layer", lambda: hub_layer)
    await say(1, {"text": "two"}, 3)
    page = await ahistory("lobby", limit=2)
    assert [message.data for message in page.messages] == [1, {"text": "two"}]
    assert page.messages[0].user == str(alice.pk)
    assert page.messages[0].info == {"name": "alice"}
    since = Position(page.position.epoch, 2)
    rest = await asyncio.to_thread(history, "lobby", since=since)
    assert [message.data for message in rest.messages] == [3]
    assert rest.position.offset == 3
    anyway = await ahistory("lobby", since=Position("", 2))
    assert [message.data for message in anyway.messages] == [3]
    newest = await ahistory("lobby", limit=1, reverse=True)
    assert [message.offset for message in newest.messages] == [3]
    with pytest.raises(ValueError, match="new epoch"):
        await ahistory("lobby", since=Position("other", 1))
