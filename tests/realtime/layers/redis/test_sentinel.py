"""Redis with Sentinel: a fail-over is noticed, and what it may have lost is never hidden."""

import asyncio

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.layers.redis import subscriber
from realtime.rooms.publications import Retention
from tests.support.sentinels import Sentinels

KEEP = Retention(1_000, 600)


@pytest.fixture
def start(tmp_path):
    """`sentinels = start(...)`: a master, replicas and three Sentinels of one test."""
    started = []

    def _start(*options, **more):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Sentinels(folder, *options, **more))
        return started[-1]

    yield _start
    for each in started:
        each.stop()


class Listener:
    """Hears a room, as a process does."""

    def __init__(self, layer):
        self.layer, self.heard, self.back = layer, [], asyncio.Event()

    async def join(self, room):
        channel = await self.layer.new_channel()
        self.layer.on_message(channel, lambda message: None, self._take)
        self.layer.on_reconnect(self.back.set)
        await self.layer.group_add(group_name(room), channel)

    def _take(self, room, epoch, publication):
        self.heard.append((epoch, publication.offset, publication.body))


class Speakers:
    """Speak in a room all the time, from the loop and from a thread, until they are stopped."""

    def __init__(self, *layers):
        self.said, self.failures = [], []
        self._is_over = False
        self._tasks = [
            asyncio.create_task(self._speak(layer, number, in_thread=bool(number % 2)))
            for number, layer in enumerate(layers)
        ]

    async def _speak(self, layer, who, *, in_thread):
        number = 0
        while not self._is_over:
            number += 1
            body = b'{"data":"%d-%d"}' % (who, number)
            try:
                if in_thread:
                    position = await asyncio.to_thread(layer.append_sync, "lobby", body, KEEP)
                else:
                    position = await layer.append("lobby", body, KEEP)
            except LayerUnavailable as error:
                self.failures.append(error)
            else:
                self.said.append((position.epoch, position.offset, body))
            await asyncio.sleep(0.01)

    async def until_said(self, more):
        """Wait until so many more were said, by all of them together."""
        wanted = len(self.said) + more
        async with asyncio.timeout(90):
            while len(self.said) < wanted:
                await asyncio.sleep(0.01)

    async def stop(self):
        self._is_over = True
        await asyncio.gather(*self._tasks)


def kill(sentinels):
    sentinels.redis[sentinels.master].kill()


def hang(sentinels):
    sentinels.redis[sentinels.master].pause()


def ask_for_another(sentinels):
    first = next(iter(sentinels.sentinels))
    sentinels.command(first, "SENTINEL", "FAILOVER", "rooms")


@pytest.mark.parametrize("fault", [kill, hang, ask_for_another])
async def test_a_fail_over_is_never_hidden(start, open_redis_layer, fault):
    sentinels = await asyncio.to_thread(start)
    layers = [open_redis_layer(hosts=[sentinels.host], prefix="mysite") for _ in range(3)]
    listener = Listener(layers[2])
    await listener.join("lobby")
    speakers = Speakers(*layers[:2])
    await speakers.until_said(40)
    before = {epoch for epoch, _, _ in speakers.said}
    await asyncio.to_thread(fault, sentinels)
    await asyncio.to_thread(sentinels.await_promotion)
    # Subscriptions come back by themselves, as the publishers do.
    async with asyncio.timeout(60):
        while not any(epoch not in before for epoch, _, _ in listener.heard):
            await asyncio.sleep(0.05)
    await speakers.until_said(40)
    await speakers.stop()
    assert len(before) == 1
    after = [each for each in speakers.said if each[0] not in before]
    assert after, "the new master has not told that something may be lost"
    # No number was given twice within an epoch.
    places = [(epoch, offset) for epoch, offset, _ in speakers.said]
    assert len(set(places)) == len(places)
    # What was heard is what was said there, and in order.
    bodies = {(epoch, offset): body for epoch, offset, body in speakers.said}
    for epoch in {epoch for epoch, _, _ in listener.heard}:
        offsets = [offset for each, offset, _ in listener.heard if each == epoch]
        assert offsets == sorted(set(offsets))
    assert all(bodies.get((epoch, offset), body) == body for epoch, offset, body in listener.heard)
    # Whoever has been in the room before is told: the epoch of the room is another one for all.
    page = await layers[2].history("lobby", limit=1)
    assert page.position.epoch not in before
    if fault is not ask_for_another:
        assert speakers.failures, "nothing was put to the test"
        assert all(error.error.temporary for error in speakers.failures)


async def test_a_master_that_is_back_has_nothing_to_say(start, open_redis_layer, monkeypatch):
    """It was away, and is made a replica. What it was told alone is gone, and that is known."""
    monkeypatch.setattr(subscriber, "ANSWER_SECONDS", 1.0)
    sentinels = await asyncio.to_thread(start)
    layer = open_redis_layer(hosts=[sentinels.host])
    first = await layer.append("lobby", b"1", KEEP)
    old = sentinels.master
    sentinels.redis[old].pause()
    await asyncio.to_thread(sentinels.await_promotion)
    position = await come_back(layer)
    assert position.epoch != first.epoch
    sentinels.redis[old].resume()
    await asyncio.to_thread(
        sentinels.wait, lambda: sentinels.info(old, "replication")["role"] == "slave"
    )
    after = await layer.append("lobby", b"3", KEEP)
    assert (after.epoch, after.offset) == (position.epoch, position.offset + 1)


async def come_back(layer):
    async with asyncio.timeout(60):
        while True:
            try:
                return await layer.append("lobby", b"2", KEEP)
            except LayerUnavailable:
                await asyncio.sleep(0.05)


async def test_sentinels_that_hang_or_are_gone_leave_the_others(start, open_redis_layer):
    sentinels = await asyncio.to_thread(start)
    first, second, _ = sentinels.sentinels.values()
    first.pause()
    second.kill()
    layer = open_redis_layer(hosts=[sentinels.host])
    assert (await layer.append("lobby", b"1", KEEP)).offset == 1
    assert (await asyncio.to_thread(layer.append_sync, "lobby", b"2", KEEP)).offset == 2


async def test_sentinels_that_come_later_are_found(start, open_redis_layer):
    sentinels = await asyncio.to_thread(start)
    for process in sentinels.sentinels.values():
        process.pause()
    layer = open_redis_layer(hosts=[sentinels.host])
    with pytest.raises(LayerUnavailable):
        await layer.append("lobby", b"1", KEEP)
    for process in sentinels.sentinels.values():
        process.resume()
    assert (await come_back(layer)).offset in (1, 2)


async def test_accounts_of_the_master_and_of_the_sentinels(start, open_redis_layer):
    sentinels = await asyncio.to_thread(start)
    for port in sentinels.redis:
        rights = ("on", ">secret", "~*", "&*", "+@all")
        sentinels.command(port, "ACL", "SETUSER", "site", *rights)
    for port in sentinels.sentinels:
        sentinels.command(
            port,
            "ACL",
            "SETUSER",
            "asker",
            "on",
            ">hidden",
            "+sentinel|get-master-addr-by-name",
            "+sentinel|slaves",
            "+sentinel|masters",
            "+ping",
            "&*",
        )
    account = {"username": "site", "password": "secret"}
    asker = {"sentinel_kwargs": {"username": "asker", "password": "hidden"}}
    layer = open_redis_layer(hosts=[{**sentinels.host, **account, **asker}])
    assert (await layer.append("lobby", b"1", KEEP)).offset == 1
    assert (await asyncio.to_thread(layer.append_sync, "lobby", b"2", KEEP)).offset == 2
