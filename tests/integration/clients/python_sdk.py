"""The Python SDK against one site. Prints what happens, one JSON value a line.

In a process of its own, because there is an old release of it with libraries of its own.
"""

import asyncio
import json
import os
import sys

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

URL = os.environ["WS_URL"]
TOKENS = json.loads(os.environ["TOKENS"])


def report(*values):
    sys.stdout.write(json.dumps(values) + "\n")


class Events(ClientEventHandler):
    def __init__(self):
        self.connections = 0
        self.connected = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()

    async def on_connected(self, ctx):
        self.connections += 1
        self.connected.set()

    async def on_disconnected(self, ctx):
        self.ended.set_result(ctx.code)


class Room(SubscriptionEventHandler):
    def __init__(self):
        self.heard = asyncio.Queue()
        self.joined = asyncio.Queue()
        self.refused = asyncio.get_running_loop().create_future()

    async def on_subscribed(self, ctx):
        await self.joined.put((ctx.was_recovering, ctx.recovered))

    async def on_unsubscribed(self, ctx):
        if not self.refused.done():
            self.refused.set_result(ctx.code)

    async def on_publication(self, ctx):
        await self.heard.put(ctx.pub.data)


async def connect(*tokens):
    given = list(tokens)

    async def get_token():
        return given.pop(0) if len(given) > 1 else given[0]

    events = Events()
    client = Client(URL, events=events, get_token=get_token, min_reconnect_delay=1)
    await client.connect()
    return client, events


async def join(client, name):
    room = Room()
    subscription = client.new_subscription(name, events=room)
    await subscription.subscribe()
    return subscription, room


async def talk():
    alice, _ = await connect(TOKENS["alice"])
    in_lobby, lobby = await join(alice, "lobby")
    await lobby.joined.get()
    await in_lobby.publish({"text": "hi"})
    report("heard", await lobby.heard.get())
    _, absent = await join(alice, "absent")
    report("refused", await absent.refused)


async def recover():
    """The network is cut while bob goes on talking."""
    alice, events = await connect(TOKENS["alice"])
    bob, bobs = await connect(TOKENS["bob"])
    _, lobby = await join(alice, "lobby")
    await lobby.joined.get()
    await bobs.connected.wait()
    alice._conn.transport.abort()
    for n in (1, 2, 3):
        await bob.publish("lobby", n)
    report("joined", await lobby.joined.get())
    report("heard", [await lobby.heard.get() for _ in range(3)])
    report("connections", events.connections)


async def expired():
    _, events = await connect(TOKENS["expired"], TOKENS["alice"])
    await events.connected.wait()
    report("connected")


async def invalid():
    _, events = await connect("not.a.token")
    report("ended", await events.ended)


async def ended():
    """A terminal close of a connection that was open: the newer token is none."""
    _, events = await connect(TOKENS["short"], "not.a.token")
    report("ended", await events.ended, "connections", events.connections)


async def main():
    async with asyncio.timeout(30):
        await globals()[os.environ["SCENARIO"]]()
    sys.stdout.flush()
    os._exit(0)  # the SDK keeps tasks of its own


asyncio.run(main())
