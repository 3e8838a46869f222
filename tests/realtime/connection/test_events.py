"""The signals about connections: what they say, and that nobody waits for a receiver."""

import asyncio
import logging
import threading

import pytest

from realtime import signals
from realtime.authentication import Identity
from realtime.codes import CloseCode
from realtime.connection import events
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("connected", "disconnected", "joined", "left", "published", "refused")


class Heard:
    """What receivers were called with, in order."""

    def __init__(self):
        self.all = []
        self.threads = set()

    def receive(self, name, **about):
        about.pop("signal"), about.pop("sender")
        self.threads.add(threading.current_thread().name)
        self.all.append((name, about))

    async def until(self, name):
        async with asyncio.timeout(60):
            while not any(each == name for each, _ in self.all):
                await asyncio.sleep(0.01)


@pytest.fixture
def heard():
    heard, connected = Heard(), []
    for name in NAMES:

        def receive(name=name, **about):
            heard.receive(name, **about)

        connected.append((getattr(signals, name), receive))
        connected[-1][0].connect(receive, weak=False)
    yield heard
    for signal, receive in connected:
        signal.disconnect(receive)


async def test_each_step_of_a_connection_is_one(open_session, alice, lobby, heard):
    session = open_session(Identity(alice))
    await call(session, connect={})
    await call(session, subscribe={"channel": "lobby"})
    await call(session, subscribe={"channel": "nowhere"})
    await call(session, publish={"channel": "lobby", "data": {"text": "é"}})
    await call(session, unsubscribe={"channel": "lobby"})
    session.close(CloseCode.FORCED)
    session.end()
    await heard.until("disconnected")
    about = {"user": str(alice.pk), "client": session.id}
    assert heard.all == [
        ("connected", about),
        ("joined", {**about, "room": "lobby"}),
        ("refused", {**about, "command": "subscribe", "subject": "nowhere", "code": 103}),
        ("published", {**about, "room": "lobby", "data": b'{"text": "\\u00e9"}'}),
        ("left", {**about, "room": "lobby"}),
        ("disconnected", {**about, "code": 3503}),
    ]
    assert heard.threads == {"realtime-signals"}


async def test_a_client_that_goes_has_no_code(open_session, alice, heard):
    session = open_session(Identity(alice))
    await call(session, connect={})
    session.end()
    await heard.until("disconnected")
    assert heard.all[-1][1]["code"] is None


async def test_one_that_has_never_signed_in_is_none(open_session, heard):
    session = open_session()
    session.close(CloseCode.STALE)
    session.end()
    await asyncio.to_thread(lambda: None)
    assert heard.all == []


async def test_nobody_waits_for_a_receiver_that_hangs(open_session, alice, lobby, caplog):
    gate, named = threading.Event(), threading.Event()

    def hang(**about):
        gate.wait(60)
        raise ValueError("secret")

    def after(**about):
        named.set()

    signals.connected.connect(hang)
    signals.joined.connect(after)
    try:
        session = open_session(Identity(alice))
        await call(session, connect={})
        assert "subscribe" in await call(session, subscribe={"channel": "lobby"})
        assert not named.is_set()
        gate.set()
        assert await asyncio.to_thread(named.wait, 60)
    finally:
        signals.connected.disconnect(hang)
        signals.joined.disconnect(after)
    (line,) = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert "Error calling" in line and "hang" in line


async def test_of_too_many_the_last_are_dropped(monkeypatch, open_session, alice, caplog, heard):
    monkeypatch.setattr(events, "WAITING_MAX", 0)
    events._failures._of_kind.clear()
    session = open_session(Identity(alice))
    await call(session, connect={})
    assert heard.all == []
    assert "a signal was not sent" in caplog.text
