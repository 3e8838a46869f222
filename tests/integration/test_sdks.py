"""Unmodified clients: the official SDKs, and a bare WebSocket.

Long, because each SDK is asked the same.
"""

import asyncio
import json

import jwt
import pytest
from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ReplyError,
    SubscriptionEventHandler,
)

from tests.support.faults import FaultProxy
from tests.support.processes import SIGNING_KEY

in_each_form = pytest.mark.parametrize(
    "sdk", ["centrifuge", "centrifuge-4", "centrifuge/build/protobuf"]
)


class Test_the_javascript_sdk:
    @pytest.fixture
    def scenario(self, site, run_node):
        def _run(name, sdk="centrifuge", **tokens):
            env = {"WS_URL": site.ws_url, "SCENARIO": name, "TOKENS": json.dumps(tokens)}
            printed = run_node("centrifuge.mjs", SDK=sdk, **env)
            return [tuple(line) for line in printed]

        return _run

    @in_each_form
    def test_talks_and_is_refused(self, scenario, sign, sdk):
        assert scenario("talk", sdk, alice=sign("alice"), bob=sign("bob")) == [
            ("heard", {"text": "hi"}, "alice", True),
            ("heard", {"text": "hi"}, "alice", True),
            ("asked", 1),
            ("refused", 103),
            ("publish refused", 103),
            ("rpc refused", 104),
            ("left", 0),
        ]

    def test_refreshes_an_expiring_token_without_losing_the_socket(self, scenario, sign):
        short = [sign("alice", lifetime=4), sign("alice", lifetime=7), sign("alice")]
        assert scenario("refresh", short=short) == [
            ("heard", "still here"),
            ("states", ["connecting", "connected"]),
        ]

    @in_each_form
    def test_recovers_what_it_missed(self, scenario, sign, sdk):
        assert scenario("recover", sdk, alice=sign("alice"), bob=sign("bob")) == [
            ("subscribed", False, False),
            ("heard", "before"),
            ("subscribed", True, True),
            ("heard", 1),
            ("heard", 2),
            ("heard", 3),
            ("in a row", True),
            ("history", [3, 2]),
            ("present", True),
            ("stats", True),
        ]

    @pytest.fixture
    def beginning(self, site):
        """A room that keeps all that was said in it, unlike those of other tests by now. They share
        the servers, and list the rooms."""
        site.shell(
            "from realtime.models import Room; "
            "Room.objects.create(name='beginning', access='authenticated')"
        )
        yield
        site.shell("from realtime.models import Room; Room.objects.get(name='beginning').delete()")

    def test_gets_everything_if_it_has_no_position(self, scenario, sign, beginning):
        assert scenario("beginning", bob=sign("bob")) == [("heard", [1, 2, 3], "asked", 1)]

    def test_comes_back_for_the_rest_if_interrupted(self, scenario, sign):
        # The message whose handler failed comes again.
        printed = scenario("interrupted", alice=sign("alice"), bob=sign("bob"))
        assert printed == [("heard", [1, 2, 3])]

    def test_hears_who_comes_and_goes(self, scenario, sign):
        # Her own coming is heard as well, unless she has been there a moment ago.
        printed = scenario("presence", alice=sign("alice"), bob=sign("bob"))
        assert [line for line in printed if line[1] == "bob"] == [("join", "bob"), ("leave", "bob")]

    @in_each_form
    def test_gets_a_new_token_for_an_expired_one(self, scenario, sign, sdk):
        expired, alice = sign("alice", lifetime=-60), sign("alice")
        printed = scenario("expired", sdk, expired=expired, alice=alice)
        assert printed == [("error", 109), ("subscribed, tokens left", 0)]

    @in_each_form
    def test_gives_up_with_an_invalid_token(self, scenario, sdk):
        assert scenario("invalid", sdk) == [("disconnected", 3500)]


class Recorder(ClientEventHandler):
    def __init__(self):
        self.states = []
        self.ended = asyncio.get_running_loop().create_future()

    async def on_connecting(self, ctx):
        self.states.append("connecting")

    async def on_connected(self, ctx):
        self.states.append("connected")

    async def on_disconnected(self, ctx):
        self.states.append("disconnected")
        if not self.ended.done():
            self.ended.set_result(ctx.code)


class Room(SubscriptionEventHandler):
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.heard = asyncio.Queue()
        self.joined = loop.create_future()
        self.refused = loop.create_future()

    async def on_subscribed(self, ctx):
        self.joined.set_result(ctx)

    async def on_unsubscribed(self, ctx):
        if not self.refused.done():
            self.refused.set_result(ctx.code)

    async def on_publication(self, ctx):
        await self.heard.put(ctx.pub)


class Test_the_python_sdk:
    @pytest.fixture(params=["json"])
    def form(self, request):
        return request.param

    in_both_forms = pytest.mark.parametrize("form", ["json", "protobuf"], indirect=True)

    @pytest.fixture
    def pack(self, form):
        """In Protobuf payloads are bytes, which the server reads as JSON."""
        return (lambda value: json.dumps(value).encode()) if form == "protobuf" else lambda it: it

    @pytest.fixture
    def read(self, form):
        return json.loads if form == "protobuf" else lambda it: it

    @pytest.fixture
    async def connect(self, site, form):
        clients = []

        async def _connect(*tokens, url=site.ws_url):
            given = list(tokens)

            async def get_token():
                return given.pop(0) if len(given) > 1 else given[0]

            events = Recorder()
            is_binary = form == "protobuf"
            client = Client(url, events=events, get_token=get_token, use_protobuf=is_binary)
            clients.append(client)
            await client.connect()
            return client, events

        yield _connect
        for client in clients:
            await client.disconnect()
        # The SDK closes its sockets in tasks of its own.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=60)

    @pytest.fixture
    def join(self):
        async def _join(client, room):
            events = Room()
            subscription = client.new_subscription(room, events=events)
            await subscription.subscribe()
            return subscription, events

        return _join

    @in_both_forms
    async def test_talks_and_is_refused(self, connect, join, sign, pack, read):
        async with asyncio.timeout(60):
            alice, _ = await connect(sign("alice"))
            bob, _ = await connect(sign("bob"))
            in_lobby, heard_by_alice = await join(alice, "lobby")
            _, heard_by_bob = await join(bob, "lobby")
            await asyncio.gather(heard_by_alice.joined, heard_by_bob.joined)
            await in_lobby.publish(pack({"text": "hi"}))
            for room in (heard_by_alice, heard_by_bob):
                publication = await room.heard.get()
                assert read(publication.data) == {"text": "hi"}
                assert read(publication.info.conn_info) == {"name": "alice"}
            _, absent = await join(alice, "absent")
            assert await absent.refused == 103
            announcements, room = await join(alice, "announcements")
            await room.joined
            with pytest.raises(ReplyError) as refused:
                await announcements.publish(pack("no"))
            assert refused.value.code == 103

    async def test_refreshes_an_expiring_token_without_losing_the_socket(self, connect, join, sign):
        async with asyncio.timeout(60):
            alice, events = await connect(sign("alice", lifetime=2), sign("alice"))
            in_lobby, room = await join(alice, "lobby")
            await room.joined
            await asyncio.sleep(3)  # the first token has to end
            await in_lobby.publish("still here")
            assert (await room.heard.get()).data == "still here"
            assert events.states == ["connecting", "connected"]

    @in_both_forms
    async def test_recovers_what_it_missed(self, connect, join, sign, site, pack, read):
        proxy = FaultProxy(site.port)
        try:
            async with asyncio.timeout(60):
                alice, events = await connect(sign("alice"), url=f"ws://127.0.0.1:{proxy.port}/ws/")
                bob, _ = await connect(sign("bob"))
                _, room = await join(alice, "lobby")
                first = await room.joined
                assert first.was_recovering is False
                await bob.publish("lobby", pack("before"))
                assert read((await room.heard.get()).data) == "before"
                room.joined = asyncio.get_running_loop().create_future()
                await asyncio.to_thread(proxy.refuse)
                for n in (1, 2, 3):
                    await bob.publish("lobby", pack(n))
                await asyncio.to_thread(proxy.heal)
                again = await room.joined
                assert (again.was_recovering, again.recovered) == (True, True)
                heard = [await room.heard.get() for _ in range(3)]
                assert [read(publication.data) for publication in heard] == [1, 2, 3]
                assert events.states.count("connected") == 2
                await alice.disconnect()
        finally:
            await asyncio.to_thread(proxy.stop)

    async def test_comes_back_for_the_rest_if_interrupted(self, connect, join, sign, site):
        """The handler fails at the first message that is recovered: the client stops."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        proxy = FaultProxy(site.port)
        try:
            async with asyncio.timeout(60):
                alice, events = await connect(sign("alice"), url=f"ws://127.0.0.1:{proxy.port}/ws/")
                bob, _ = await connect(sign("bob"))
                _, room = await join(alice, "lobby")
                await room.joined
                room.joined = asyncio.get_running_loop().create_future()

                async def fail(ctx):
                    room.on_publication = handle
                    room.joined = asyncio.get_running_loop().create_future()
                    raise ValueError("not handled")

                handle, room.on_publication = room.on_publication, fail
                await asyncio.to_thread(proxy.refuse)
                for n in (1, 2, 3):
                    await bob.publish("lobby", n)
                await asyncio.to_thread(proxy.heal)
                await events.ended
                await alice.connect()
                assert [(await room.heard.get()).data for _ in range(3)] == [1, 2, 3]
                await alice.disconnect()
        finally:
            await asyncio.to_thread(proxy.stop)

    @in_both_forms
    async def test_gets_a_new_token_for_an_expired_one(self, connect, sign):
        async with asyncio.timeout(60):
            alice, _ = await connect(sign("alice", lifetime=-60), sign("alice"))
            await alice.ready()

    @in_both_forms
    async def test_does_not_come_back_after_a_terminal_close(self, connect, sign, pack):
        async with asyncio.timeout(60):
            alice, events = await connect(sign("alice"))
            await alice.ready()
            wrong = [alice.publish("", pack(1)) for _ in range(10)]
            await asyncio.gather(*wrong, return_exceptions=True)
            assert await events.ended == 3509
            assert events.states == ["connecting", "connected", "disconnected"]

    @in_both_forms
    async def test_gives_up_with_an_invalid_token(self, connect):
        async with asyncio.timeout(60):
            mallory, events = await connect("not.a.token")
            assert await events.ended == 3500
            with pytest.raises(CentrifugeError):
                await mallory.ready()


class Test_the_oldest_python_sdk:
    @pytest.fixture
    def scenario(self, site, run_old_python_sdk, request):
        if request.node.callspec.params["site"] == "uvicorn":
            pytest.skip("uvicorn's own protocols refuse the empty subprotocol header that it sends")

        def _run(name, **tokens):
            return run_old_python_sdk(WS_URL=site.ws_url, SCENARIO=name, TOKENS=json.dumps(tokens))

        return _run

    def test_talks_and_is_refused(self, scenario, sign):
        assert scenario("talk", alice=sign("alice")) == [
            ["heard", {"text": "hi"}],
            ["refused", 103],
        ]

    def test_recovers_what_it_missed(self, scenario, sign):
        assert scenario("recover", alice=sign("alice"), bob=sign("bob")) == [
            ["joined", [True, True]],
            ["heard", [1, 2, 3]],
            ["connections", 2],
        ]

    def test_gets_a_new_token_for_an_expired_one(self, scenario, sign):
        expired, alice = sign("alice", lifetime=-60), sign("alice")
        assert scenario("expired", expired=expired, alice=alice) == [["connected"]]

    def test_gives_up_with_an_invalid_token(self, scenario):
        assert scenario("invalid") == [["ended", 3500]]

    def test_does_not_come_back_after_a_terminal_close(self, scenario, sign):
        printed = scenario("ended", short=sign("alice", lifetime=4))
        assert printed == [["ended", 3500, "connections", 1]]


class Test_our_own_client:
    @pytest.fixture
    def scenario(self, site, run_node, sign):
        def _run(name):
            tokens = json.dumps({"alice": sign("alice"), "bob": sign("bob")})
            return run_node("own.mjs", WS_URL=site.ws_url, SCENARIO=name, TOKENS=tokens)

        return _run

    def test_recovers_what_it_missed_each_time(self, scenario):
        assert scenario("recover") == [
            ["joined", None, None],
            ["joined", True, True],
            ["joined", True, True],
            ["heard", [1, 2, 3, 4, 5, 6]],
        ]

    def test_hands_out_nothing_of_a_room_that_a_handler_has_left(self, scenario):
        assert scenario("leave") == [["heard", [1]]]


def test_a_bare_websocket_with_a_token_signed_elsewhere(site, sign, run_node):
    claims = {}
    for user in ("alice", "bob", "carol"):
        signed = jwt.decode(sign(user), SIGNING_KEY, algorithms=["HS256"])
        claims[user] = {name: signed[name] for name in ("user_id", "hash_password")}
    printed = run_node(
        "plain.cjs", WS_URL=site.ws_url, SIGNING_KEY=SIGNING_KEY, CLAIMS=json.dumps(claims)
    )
    message = {"type": "message", "room": "lobby", "name": "alice", "data": {"text": "hi"}}
    assert printed == [
        "joined",
        "joined",
        message,
        message,
        107,
        [1, "two"],
        [103, 3507, 3507],
        [3500, 3500],
    ]
