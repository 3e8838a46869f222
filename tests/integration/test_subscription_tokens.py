"""Rooms by a token of the site and rooms of the server, with the official SDKs."""

import asyncio
import json

import jwt
import pytest
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from tests.support import processes

SECONDS = 60


@pytest.fixture(scope="module")
def site(start_site):
    return start_site(
        "uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.server_rooms"
    )


@pytest.fixture
def grant(sign, secrets):
    """A token as another service signs it, that has the key."""

    def _grant(user, seconds, room="staff", issued=0):
        claims = jwt.decode(sign(user), options={"verify_signature": False})
        now = claims["iat"] + issued
        token = jwt.encode(
            {
                "token_type": "subscription",
                "channel": room,
                "sub": str(claims["user_id"]),
                "iat": now,
                "exp": now + seconds,
            },
            processes.SIGNING_KEY,
        )
        secrets.add(token)
        return token

    return _grant


@pytest.fixture
def scenario(site, run_node):
    def _run(name, sdk, **tokens):
        env = {"WS_URL": site.ws_url, "SCENARIO": name, "TOKENS": json.dumps(tokens)}
        return run_node("centrifuge.mjs", SDK=sdk, SIGNING_KEY=processes.SIGNING_KEY, **env)

    return _run


both_forms = pytest.mark.parametrize("sdk", ["centrifuge", "centrifuge/build/protobuf"])


@both_forms
def test_a_grant_is_renewed_by_the_sdk_and_ends_with_the_last_one(scenario, sign, sdk):
    """The SDK asks for a newer token in time, and leaves the room if it gets none."""
    assert scenario("granted", sdk, carol=sign("carol")) == [
        ["publish refused", 103],
        ["history", 0],
        ["left", 1, "asked", 3, ["subscribing", "subscribed", "unsubscribed"]],
    ]


@both_forms
def test_rooms_of_the_server_have_their_events_on_the_client(scenario, sign, sdk):
    alice = sign("alice")
    user = jwt.decode(alice, options={"verify_signature": False})["user_id"]
    printed = scenario("put_into", sdk, alice=alice, bob=sign("bob"))
    rooms = sorted([f"_user/{user}", "lobby"])
    assert printed[0] == ["subscribed", [[room, True, False, False] for room in rooms]]
    assert printed[1] == ["subscribed", [[room, True, True, True] for room in rooms]]
    assert printed[2] == ["heard", [["lobby", 1], ["lobby", 2], ["lobby", 3]]]


class Events(ClientEventHandler):
    def __init__(self):
        self.rooms = asyncio.Queue()
        self.heard = asyncio.Queue()

    async def on_subscribed(self, ctx):
        await self.rooms.put(ctx.channel)

    async def on_publication(self, ctx):
        await self.heard.put((ctx.channel, ctx.pub.data))


class Room(SubscriptionEventHandler):
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.joined, self.left = loop.create_future(), loop.create_future()

    async def on_subscribed(self, ctx):
        if not self.joined.done():
            self.joined.set_result(ctx)

    async def on_unsubscribed(self, ctx):
        self.left.set_result(ctx.code)


@pytest.mark.parametrize("is_binary", [False, True], ids=["json", "protobuf"])
async def test_the_python_sdk(site, sign, grant, is_binary):
    # Issued after what the test before this one has taken back.
    token, given = sign("carol"), [grant("carol", 300, issued=10)]

    async def get_token():
        return token

    async def get_grant(ctx):
        return given.pop(0)

    async with asyncio.timeout(SECONDS):
        events = Events()
        carol = Client(site.ws_url, events=events, get_token=get_token, use_protobuf=is_binary)
        await carol.connect()
        rooms = {await events.rooms.get(), await events.rooms.get()}
        assert "lobby" in rooms
        assert len(rooms) == 2
        await carol.publish("lobby", b"1" if is_binary else 1)
        assert await events.heard.get() == ("lobby", b"1" if is_binary else 1)
        room = Room()
        staff = carol.new_subscription("staff", events=room, get_token=get_grant)
        await staff.subscribe()
        await room.joined
        await asyncio.to_thread(site.shell, "import realtime; realtime.revoke('staff')")
        assert await room.left == 2000
        await carol.disconnect()
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(tasks, timeout=60)
