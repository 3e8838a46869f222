"""What a client may use up: the same limits for the clients of each protocol, and others go on."""

import asyncio

from realtime.codes import CloseCode, Error
from realtime.hub.node import get_node
from tests.support.protocol_clients import SECONDS, Refused, needs


@needs("silence")
async def test_clients_that_say_nothing_are_counted_by_their_address(site, settings, alice):
    client = site.client()
    settings.REALTIME = {**settings.REALTIME, "UNAUTHENTICATED_PER_ADDRESS": 2}
    await client.open()
    await site.client().open()
    late = site.client()
    await late.open()
    code = await late.until_closed()
    assert code == (CloseCode.TOO_MANY_REQUESTS if late.reports_codes else 400)
    assert client.is_open
    await site.enter(alice)
    await client.drop()
    await site.client().open()


async def test_a_user_has_so_many_connections_and_no_more(site, settings, alice, bob, monkeypatch):
    monkeypatch.setattr("realtime.connection.admission.SECOND_LOOK_SECONDS", 0.01)
    settings.REALTIME = {**settings.REALTIME, "CONNECTIONS_PER_USER": 2}
    first = await site.enter(alice)
    await site.enter(alice)
    late = site.client()
    refusal = await late.refusal(late.connect(site.credential(alice)))
    assert refusal[0] == CloseCode.CONNECTION_LIMIT
    await site.enter(bob)
    await first.drop()
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await site.enter(alice)
                break
            except Refused as refused:  # the process writes down who has gone a moment later
                assert refused.code == CloseCode.CONNECTION_LIMIT


async def test_a_client_that_asks_too_often_is_refused_and_then_closed(site, settings, alice, bob):
    """Those of another user go on beside it."""
    other = await site.enter(bob)
    client = await site.enter(alice)
    limits = {"COMMANDS_PER_SECOND": 0.001, "COMMANDS_BURST": 20}
    settings.REALTIME = {**settings.REALTIME, **limits}
    codes = []
    if client.has("sending"):
        for number in range(60):
            client.begin("lobby", str(number))
        codes.append(await client.until_closed())
        assert client.close_code == CloseCode.TOO_MANY_REQUESTS
        heard = 0
        while heard < 20:
            assert await other.receive() == heard
            heard += 1
    else:
        for _ in range(60):
            stream = site.client()
            try:
                await stream.connect(client.credential)
            except Refused as refused:
                codes.append(refused.code)
            await stream.drop()
        assert set(codes) == {Error.TOO_MANY_REQUESTS.code, CloseCode.TOO_MANY_REQUESTS}
    await site.publish(alice, "lobby", "from elsewhere")
    assert await other.receive() == "from elsewhere"


@needs("rooms")
async def test_a_client_is_in_so_many_rooms_and_no_more(site, settings, alice):
    settings.REALTIME = {**settings.REALTIME, "ROOMS_PER_CONNECTION": 2}
    client = await site.enter(alice)
    await client.subscribe("aside")
    code, _ = await client.refusal(client.subscribe("news"))
    assert code == (Error.BAD_REQUEST if client.name == "sse" else Error.LIMIT_EXCEEDED).code


async def test_coming_and_going_leaves_nothing(site, alice):
    for _ in range(10):
        client = await site.enter(alice)
        if client.has("commands"):
            for _ in range(5):
                await client.unsubscribe("lobby")
                await client.subscribe("lobby")
        tasks = len(asyncio.all_tasks())
        await site.is_left_by(client)
        assert len(asyncio.all_tasks()) <= tasks
    assert set(get_node().hub.rooms) == {"aside"}
    assert not (await site.layer.presence("lobby")).clients
    assert set(site.layer._rooms) == {"aside"}


async def test_a_client_that_does_not_read_is_closed_and_the_others_hear_everything(
    site, settings, alice, bob
):
    settings.REALTIME = {**settings.REALTIME, "OUTBOX_MAX_BYTES": 100_000, "CLOSE_SECONDS": 0.1}
    other = await site.enter(bob)
    slow = await site.enter(alice)
    node = get_node()
    [session] = [each for each in node.sessions if each.user_id == str(alice.pk)]
    slow.reads.clear()
    sent = 0
    while not session.is_closed and sent < 100:
        await site.publish(bob, "lobby", [sent, "x" * 20_000])
        assert (await other.receive())[0] == sent
        sent += 1
    assert session.is_closed
    await site.publish(bob, "lobby", [sent, "and on"])
    assert (await other.receive())[0] == sent
    slow.reads.set()
    await site.until(lambda: session not in node.sessions)
