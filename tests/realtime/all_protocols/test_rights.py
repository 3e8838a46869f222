"""Who may what: the same rights, and the same answers, for the clients of each protocol."""

import asyncio
import threading
import time
from dataclasses import replace

from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from realtime import rooms
from realtime.codes import CloseCode, Error, UnsubscribeCode
from realtime.hub.node import get_node
from realtime.models import Membership, Room
from realtime.rights import grants
from tests.support.protocol_clients import Forbidden, Refused, needs

DENIED = (Error.PERMISSION_DENIED.code, Error.PERMISSION_DENIED.message)
NAMES = [
    "LOBBY",
    "..",
    "../lobby",
    "lobby ",
    "lob by",
    "x" * 300,
    "lobby\n",
    "lobby/",
    "l\u00f6bby",
]


class ObjectBackend:
    """Rights in single rooms, as guardian and others have them."""

    def authenticate(self, request, **credentials):
        return None

    def has_perm(self, user, permission, room=None):
        wanted = ("realtime.join_room", "shared")
        return user.is_active and (permission, getattr(room, "name", None)) == wanted


def session_of(user):
    [session] = [each for each in get_node().sessions if each.user_id == str(user.pk)]
    return session


async def test_a_missing_room_and_a_forbidden_one_answer_alike(site, alice, count_queries):
    answers = []
    for room in ("secret", "nowhere"):
        client = await site.enter(alice)
        grants._known.clear()
        with count_queries() as queries:
            refusal = await client.refusal(client.subscribe(room))
        answers.append((refusal, len(queries), client.said.count(room.encode()) > 0))
        await client.drop()
    assert answers[0] == answers[1]
    assert answers[0][0] == DENIED


@needs("sending")
async def test_reading_does_not_allow_publishing(site, alice):
    client = await site.enter(alice, "news")
    assert await client.refusal(client.publish("news", 1)) == DENIED
    assert client.is_open
    assert not (await site.layer.history("news", since=None, limit=10)).publications


@needs("commands")
async def test_who_may_not_enter_may_not_look_in_either(site, alice):
    client = await site.enter(alice)
    for ask in (client.history, client.presence):
        for room in ("secret", "nowhere"):
            assert await client.refusal(ask(room)) == DENIED
    assert await client.refusal(client.publish("secret", 1)) == DENIED
    assert [each["user"] for each in (await client.presence("lobby")).values()] == [str(alice.pk)]
    await client.publish("lobby", 1)
    assert [each["data"] for each in (await client.history("lobby"))["publications"]] == [1]


async def test_a_rule_that_does_not_answer_yes_or_no_denies(site, settings, alice, room_in_code):
    settings.REALTIME = {**settings.REALTIME, "RIGHTS_SECONDS": 0.1}
    site.errors = ["Rule.can_join"]
    go_on = threading.Event()

    class Rule(rooms.RoomType):
        def can_join(self, user, kind):
            if kind == "raises":
                raise ValueError("a mistake of the site")
            if kind == "hangs":
                go_on.wait(30)
            return {"none": None, "text": "yes", "number": 1}.get(kind, True)

    room_in_code("rule/<slug:kind>", Rule)
    for kind in ("hangs", "raises", "none", "text", "number"):
        client = await site.enter(alice)
        assert (await client.refusal(client.subscribe(f"rule/{kind}")))[0] == DENIED[0], kind
        await client.subscribe("rule/fine")
        await client.drop()
        go_on.set()


async def test_what_looks_like_a_message_of_the_server_is_a_payload(site, alice, bob):
    reader = await site.enter(alice)
    payload = {
        "type": "websocket.close",
        "user": str(bob.pk),
        "sender": "server",
        "info": {"user": str(bob.pk)},
        "push": {"channel": "secret"},
        "code": 3500,
        "error": {"code": 1},
    }
    for text in (payload, {"type": "realtime.control"}, {"event": "closed", "args": [payload]}):
        if reader.has("sending"):
            await reader.publish("lobby", text)
        else:
            await site.publish(alice, "lobby", text)
        assert await reader.receive() == text
        assert reader.senders[-1] == str(alice.pk)
    assert reader.is_open
    assert not reader.unsubscribed


async def test_has_perm_decides_who_may_enter(site, settings, alice, bob):
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        f"{ObjectBackend.__module__}.{ObjectBackend.__qualname__}",
    ]
    join = await Permission.objects.aget(codename="join_room")
    group = await Group.objects.acreate(name="staff")
    secret = await Room.objects.aget(name="secret")
    await secret.groups.aadd(group)
    await Room.objects.acreate(name="shared")
    root = await User.objects.acreate(username="root", is_superuser=True)
    allowed = await User.objects.acreate(username="allowed")
    await allowed.user_permissions.aadd(join)
    member = await User.objects.acreate(username="member")
    await member.groups.aadd(group)
    expected = {root: "yes", allowed: "yes", member: "yes", alice: "no"}
    for user, answer in expected.items():
        client = await site.enter(user)
        if answer == "yes":
            await client.subscribe("secret")
        else:
            assert await client.refusal(client.subscribe("secret")) == DENIED
        await client.drop()
    await (await site.enter(alice, "shared")).drop()
    token = site.credential(root)
    root.is_active = False
    await root.asave()
    client = site.client()
    assert (await client.refusal(client.enter(token, "secret")))[0] == CloseCode.INVALID_TOKEN


async def test_names_that_are_nearly_those_of_a_room_lead_nowhere(site, alice, bob):
    for name in NAMES:
        client = await site.enter(alice)
        try:
            await client.subscribe(name)
        except Forbidden:
            assert client.name == "plain", "there the name is in the path"
        except Refused as refused:
            assert (refused.code, refused.message) == DENIED, name
        else:
            raise AssertionError(f"{name!r} was entered")
        await client.drop()
    assert set(get_node().hub.rooms) == {"aside"}


async def test_nothing_of_a_room_comes_after_it_was_lost(site, alice, bob):
    """Publishing races with what takes the right away."""
    room = await Room.objects.acreate(name="team")
    for user in (alice, bob):
        await Membership.objects.acreate(user=user, room=room)
    client = await site.enter(alice, "team")
    writer = await site.enter(bob, "team")
    published = 0

    async def publish(room, data):
        if writer.has("sending"):
            await writer.publish(room, data)
        else:
            await site.publish(bob, room, data)

    async def go_on_publishing():
        nonlocal published
        while client.close_code is None and "team" not in client.unsubscribed:
            await publish("team", published)
            published += 1
            await asyncio.sleep(0)

    publishing = asyncio.create_task(go_on_publishing())
    await site.until(lambda: published > 5)
    await Membership.objects.filter(user=alice).adelete()
    code = await client.until_unsubscribed("team")
    await publishing
    assert code in (UnsubscribeCode.BY_SERVER, CloseCode.PERMISSION_DENIED)
    heard = list(client.messages)
    assert [data for _, data in heard] == list(range(len(heard)))
    for number in range(3):
        await publish("team", f"late {number}")
    await site.until(lambda: [data for _, data in writer.messages][-1:] == ["late 2"])
    assert client.messages == heard


@needs("sending")
async def test_a_token_that_expires_while_a_publish_is_in_flight(site, settings, alice, bob):
    """What was begun in time is stored and heard by others, and nothing afterwards is."""
    settings.REALTIME = {**settings.REALTIME, "EXPIRY_GRACE_SECONDS": 0}
    reader = await site.enter(bob)
    client = await site.enter(alice)
    session = session_of(alice)
    append_soon, waiting = site.layer.append_soon, []
    site.layer.append_soon = lambda *args: waiting.append(args)
    client.begin("lobby", '"in flight"')
    await site.until(lambda: waiting)
    session.identity = replace(session.identity, expires_at=time.time() - 1)
    session.timers.watch_expiry()
    assert await client.until_closed() == CloseCode.EXPIRED
    client.begin("lobby", '"too late"')
    site.layer.append_soon = append_soon
    for args in waiting:
        append_soon(*args)
    assert await reader.receive() == "in flight"
    assert not client.messages
    await client.drop()
    assert not reader.messages
    kept = (await site.layer.history("lobby", since=None, limit=10)).publications
    assert len(kept) == 1


async def test_while_the_database_is_away_nobody_gets_in_and_nobody_is_lost(
    site, alice, monkeypatch
):
    client = await site.enter(alice)
    credential = client.credential
    site.errors = ["the rights could not be read from the database"]
    grants._known.clear()
    execute = CursorWrapper.execute

    def fail(cursor, sql, params=None):
        if "realtime_" in sql:
            raise OperationalError("the database is away")
        return execute(cursor, sql, params)

    with monkeypatch.context() as patch:
        patch.setattr(CursorWrapper, "execute", fail)
        entering = asyncio.create_task(client.subscribe("news"))
        if client.enters_later:
            await site.until(lambda: any(each.late_rooms for each in get_node().sessions))
            assert not session_of(alice).rooms
        else:
            assert (await client.refusal(entering))[0] == Error.INTERNAL.code
    if client.enters_later:
        await entering
    if client.name == "plain":
        client = await site.client().enter(credential)
    await client.subscribe("news")
