"""Two people in rooms of their own, connected to two processes, of whom one loses rights."""

import asyncio
import json
import sqlite3
import urllib.request
from collections import Counter, defaultdict
from contextlib import closing
from functools import partial
from itertools import product

from config.management.commands.demo import PASSWORD
from tests.support.admin_forms import Browser

SECONDS = 30
"""Within which a change must be seen, on a machine that does much else. Most need some hundredths
of one; the regular review, which would hide a signal that is missing, is off."""
SCENES = 64
BOTH = ("person", "bystander")

# One call makes everything that the tests change, because a call costs a second. `home`, `hall` and
# `kept` are rooms of both people, `vault` is one of the bystander and of those who hold a key.
SEED = f"""
import json
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from realtime.models import Membership, Room

numbers, password = range({SCENES}), make_password({PASSWORD!r})
users = {{u.username: u for u in User.objects.bulk_create(
    User(username=f"{{who}}-{{n}}", password=password, is_staff=who == "bystander")
    for n in numbers for who in {BOTH})}}
rooms = {{r.name: r for r in Room.objects.bulk_create(
    Room(name=f"{{name}}-{{n}}") for n in numbers for name in ("home", "hall", "kept", "vault"))}}
groups = {{g.name: g for g in Group.objects.bulk_create(
    Group(name=f"{{name}}-{{n}}") for n in numbers for name in ("team", "keyholders"))}}
memberships = Membership.objects.bulk_create(
    Membership(user=users[f"{{who}}-{{n}}"], room=room,
               role="moderator" if who == "bystander" else "member")
    for name, room in rooms.items() for n in [name.split("-")[1]] for who in {BOTH}
    if who == "bystander" or not name.startswith("vault"))
User.groups.through.objects.bulk_create(User.groups.through(
    user=users[f"person-{{n}}"], group=groups[f"team-{{n}}"]) for n in numbers)
Room.groups.through.objects.bulk_create(Room.groups.through(
    room=rooms[f"vault-{{n}}"], group=groups[f"keyholders-{{n}}"]) for n in numbers)
permissions = Permission.objects.filter(content_type__app_label="realtime")
keys = {{name: o.pk for all in (users, rooms, groups) for name, o in all.items()}}
keys |= {{p.codename: p.pk for p in permissions}}
keys |= {{f"{{m.user.username}} in {{m.room.name}}": m.pk for m in memberships}}
print(json.dumps(keys))
"""


class Scene:
    """A person and a bystander in rooms of their own, each connected to both processes.

    It notes who should be in which room and how much was said there, so that whoever hears too
    little, too much, or in another order, fails the test.
    """

    def __init__(self, number, pair, keys, admin, open_client, sign, secrets):
        self.number, self.pair, self.keys, self.admin = number, pair, keys, admin
        self.home, self.hall, self.kept = f"home-{number}", f"hall-{number}", f"kept-{number}"
        self.vault, self.desk = f"vault-{number}", f"desk/{number}"
        self.inside = defaultdict(list)
        self.said = Counter()
        self.watched = []
        self._open_client, self._sign, self._secrets = open_client, sign, secrets

    def key(self, name):
        """The primary key of something of this scene, or of something shared."""
        own = " in ".join(f"{part}-{self.number}" for part in name.split(" in "))
        return self.keys[own] if own in self.keys else self.keys[name]

    def token(self, who, **claims):
        return self._sign(f"{who}-{self.number}", **claims)

    async def open(self):
        mine = (self.home, self.hall, self.kept)
        everything = (*mine, self.vault, self.desk)
        self.person = [await self.join(site, self.token("person"), *mine) for site in self.pair]
        self.bystander = [
            await self.join(site, self.token("bystander"), *everything) for site in self.pair
        ]

    # Sockets

    async def join(self, site, token, *rooms, **options):
        """A client in `rooms`."""
        client = await self._open_client(url=site.ws_url, connect=False, **options)
        self.watched.append(client)
        connect = {"subs": {room: {} for room in rooms}}
        reply = await self.call(client, connect=connect | ({"token": token} if token else {}))
        offsets = {room: sub["offset"] for room, sub in reply["connect"].get("subs", {}).items()}
        assert offsets == {room: self.said[room] for room in rooms}
        for room in rooms:
            self.inside[room].append(client)
        return client

    async def call(self, client, **command):
        async with asyncio.timeout(SECONDS):
            return await client.call(**command)

    async def browser(self, site, name):
        """A browser in which somebody has signed in to the admin."""
        return await asyncio.to_thread(Browser(site.url).sign_in, name, PASSWORD)

    async def join_with(self, browser):
        """A client at each process whose credential is the session of the browser."""
        self._secrets.add(browser.session_key)
        cookie = {"Cookie": f"sessionid={browser.session_key}"}
        return [
            await self.join(site, None, self.kept, origin=site.url, additional_headers=cookie)
            for site in self.pair
        ]

    async def enter(self, clients, room):
        for client in clients:
            reply = await self.call(client, subscribe={"channel": room})
            assert reply["subscribe"]["offset"] == self.said[room]
            self.inside[room].append(client)

    async def refused(self, clients, **command):
        for client in clients:
            reply = await self.call(client, **command)
            assert reply["error"]["code"] == 103

    async def say(self, room, by=None):
        """Publish as the bystander, or `by` a client: everybody inside hears it, next and once."""
        self.said[room] += 1
        data = f"{self.said[room]} in {room}"
        self._secrets.add(data)
        async with asyncio.timeout(SECONDS):
            reply = await (by or self.bystander[0]).call(publish={"channel": room, "data": data})
            assert reply.get("publish") == {}
            for client in self.inside[room]:
                heard = await client.publication(room)
                assert (heard["offset"], heard["data"]) == (self.said[room], data)

    async def closed_with(self, code, clients):
        """The clients are disconnected with `code`, and leave all rooms."""
        assert await self.close_codes(clients) == [code] * len(clients)
        for client in clients:
            self.watched.remove(client)
            for inside in self.inside.values():
                if client in inside:
                    inside.remove(client)

    async def close_codes(self, clients):
        async with asyncio.timeout(SECONDS):
            return [await client.closed() for client in clients]

    async def taken_out(self, clients, *rooms, seconds=SECONDS):
        """The clients get unsubscribe pushes, and no more messages of the rooms.

        Messages of clients that stay there come before those of the room where all stay.
        """
        for room, client in product(rooms, clients):
            async with asyncio.timeout(seconds):
                push = await client.until(partial(_is_unsubscribe, room))
            assert push["push"]["unsubscribe"]["code"] == 2000
            self.inside[room].remove(client)
        for room in rooms:
            if self.inside[room]:
                await self.say(room)
        await self.go_on()

    async def go_on(self):
        """Publish in the kept room: all remaining clients receive this next, and nothing else."""
        await self.say(self.kept)
        for client in self.watched:
            pushes = [frame.get("push", frame) for frame in client.frames]
            assert not [push for push in pushes if push and "message" not in push]

    async def refused_at_the_door(self, token):
        for site in self.pair:
            client = await self._open_client(url=site.ws_url, connect=False)
            await client.send(connect={"token": token})
            async with asyncio.timeout(SECONDS):
                assert await client.closed() == 3500

    async def plain(self, room, **claims):
        """A plain socket of the person at each process."""
        clients = []
        for site in self.pair:
            offered = ["realtime.v1", f"bearer.{self.token('person', **claims)}"]
            path = f"rooms/{room}/"
            client = await self._open_client(
                url=site.ws_url, path=path, connect=False, subprotocols=offered
            )
            async with asyncio.timeout(SECONDS):
                await client.until(lambda frame: frame["type"] == "joined")
            clients.append(client)
        return clients

    # Changes

    async def sign_in(self, site, password=PASSWORD):
        """A pair of tokens of the person."""
        credentials = {"username": f"person-{self.number}", "password": password}
        tokens = await asyncio.to_thread(_post, f"{site.url}/api/token/", **credentials)
        self._secrets.update(tokens.values())
        return tokens

    async def sign_out(self, site, tokens):
        url = f"{site.url}/api/logout/"
        await asyncio.to_thread(_post, url, refresh=tokens["refresh"])

    async def do(self, change):
        """Carry out a change, as a request of the administrator."""
        await asyncio.to_thread(change, self)

    async def do_and_hear(self, change):
        """Carry out a change, and wait until the person's sockets are notified of it."""
        for client in self.person:
            client.frames = [
                frame for frame in client.frames if "message" not in frame.get("push", {})
            ]
        await self.do(change)
        for client in self.person:
            async with asyncio.timeout(SECONDS):
                await client.until(lambda frame: "message" in frame.get("push", {}))

    def execute(self, statement, *values):
        """Raw SQL, of which Django knows nothing."""
        path = self.pair[0].env["DATABASE_URL"].removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=SECONDS)) as database, database:
            database.execute(statement, values)


def _is_unsubscribe(room, frame):
    push = frame.get("push", {})
    return "unsubscribe" in push and push["channel"] == room


def _post(url, **body):
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)
