"""Five kinds of clients in one room, over two processes, while one of them is restarted."""

import asyncio
import json
import random
import uuid

import pytest
import websockets
from centrifuge import Client, SubscriptionEventHandler

from config.management.commands.demo import PASSWORD
from realtime.layers.redis import RedisRoomLayer
from realtime.rooms.publications import Retention
from tests.delivery.clients import Member
from tests.delivery.ledger import Ledger, judge
from tests.delivery.socketio_members import SocketIOMember
from tests.delivery.streams import StreamMember
from tests.support import processes
from tests.support.admin_forms import Browser

ROOM = "meeting"
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
MAKE_SCENE = f"""
from django.contrib.auth.models import User
from realtime.models import Room
for name in ("dave", "erin"):
    User.objects.create_user(name, password="{PASSWORD}")
Room.objects.create(name="{ROOM}", access="authenticated", history_size=1000)
print(User.objects.get(username="bob").pk)
"""


class SDKMember(Member):
    """A member by the official SDK, which comes back and recovers by itself."""

    async def run(self):
        member = self

        class Events(SubscriptionEventHandler):
            async def on_subscribed(self, context):
                if not context.was_recovering:
                    member.on_subscribed(
                        {"epoch": context.stream_position.epoch, "offset": 0, "recovered": False}
                    )
                member.ready.set()

            async def on_publication(self, context):
                publication = context.pub
                member.on_publication({"offset": publication.offset, "data": publication.data})

        client = Client(self.urls[0], token=self.headers["Authorization"].removeprefix("Bearer "))
        room = client.new_subscription(
            self.room, events=Events(), positioned=True, recoverable=True
        )
        await client.connect()
        await room.subscribe()
        try:
            await asyncio.Event().wait()
        finally:
            await client.disconnect()


class PlainMember(Member):
    """A member by a bare WebSocket."""

    async def run(self):
        while True:
            since = "" if self.place is None else f"?since={self.place.epoch}:{self.place.offset}"
            url = f"{self.dice.choice(self.urls)}rooms/{self.room}/{since}"
            try:
                async with websockets.connect(url, additional_headers=self.headers) as socket:
                    async for text in socket:
                        self.take(json.loads(text))
            except (OSError, TimeoutError, websockets.WebSocketException):
                pass
            self.ready.clear()
            await asyncio.sleep(self.dice.uniform(0.05, 0.4))

    def take(self, message):
        if message["type"] == "joined":
            self.on_subscribed(message)
        elif message["type"] == "message":
            self.on_publication(message)
        else:
            assert message["type"] == "error" and message["code"] < 3500, message


@pytest.fixture(scope="module")
def sites(start_site):
    daphne = start_site("daphne", redis=True)
    return [daphne, start_site("uvicorn-fast", beside=daphne)]


@pytest.fixture
async def say(sites):
    env = sites[0].env
    layer = RedisRoomLayer(hosts=[env["REDIS_URL"]], prefix=env["REDIS_PREFIX"])

    async def _say(number):
        body = json.dumps({"data": {"from": "site", "n": number}}).encode()
        await layer.append(ROOM, body, Retention(1000, 300), once=uuid.uuid4().hex)

    yield _say
    await layer.flush()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_everybody_gets_everything_once_and_in_order(sites, say, tmp_path):
    daphne, uvicorn = sites
    bobs_key = (await asyncio.to_thread(daphne.shell, MAKE_SCENE)).splitlines()[-1]
    ledger = Ledger()

    async def member(kind, name, urls, **options):
        token = await asyncio.to_thread(uvicorn.token, name)
        headers = {"Authorization": f"Bearer {token}"}
        dice = random.Random(name)
        return kind(urls, headers, ledger, dice, room=ROOM, **options)

    both = [daphne.ws_url, uvicorn.ws_url]
    alice = await member(SDKMember, "alice", [daphne.ws_url])
    bob = await member(SocketIOMember, "bob", both, transports=(["websocket"],))
    carol = await member(PlainMember, "carol", both)
    dave = await member(StreamMember, "dave", both)
    erin = await member(SocketIOMember, "erin", both, transports=(["polling"],))
    everybody = [alice, bob, carol, dave, erin]
    tasks = [asyncio.create_task(each.run()) for each in everybody]
    try:
        await until(lambda: all(each.ready.is_set() for each in everybody))

        def heard(who):
            return [number for (_, number), _ in who.journal.seen]

        for number in range(1, 21):
            await say(number)
        restart = asyncio.create_task(asyncio.to_thread(restart_gracefully, daphne, tmp_path))
        for number in range(21, 61):
            await say(number)
            await asyncio.sleep(0.05)
        await restart
        await until(lambda: all(len(heard(each)) >= 60 for each in everybody))
        assert {tuple(heard(each)) for each in everybody} == {tuple(range(1, 61))}
        assert judge(ledger, numbered=True).is_clean

        # Bob is deactivated, by a form of the admin at the other process.
        await until(lambda: all(each.ready.is_set() for each in everybody))
        admin = await asyncio.to_thread(Browser(uvicorn.url).sign_in, "admin", PASSWORD)
        path = f"/admin/auth/user/{bobs_key}/change/"
        await asyncio.to_thread(lambda: admin.save(path, is_active=False))
        await until(lambda: bob.told is not None)
        assert bob.told["code"] == 3500
        await say(61)
        others = [alice, carol, dave, erin]
        await until(lambda: all(61 in heard(each) for each in others))
        assert heard(bob)[-1] == 60
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def restart_gracefully(site, folder):
    site.process.stop()
    server = "daphne"
    site.process = processes.start_site(server, folder, site.env, site.port).process
