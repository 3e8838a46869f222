"""The native protocol over real sockets, on Daphne and on uvicorn."""

import asyncio
import json
import time

import pytest
import websockets
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from realtime.layers.groups import group_name


@pytest.fixture
async def alice(open_client, sign):
    client = await open_client(sign("alice"))
    await client.call(subscribe={"channel": "lobby"})
    return client


@pytest.fixture
async def bystander(open_client, sign):
    """Bob in another room, who must get his messages whatever alice's client does."""
    client = await open_client(sign("bob"))
    await client.call(subscribe={"channel": "staff"})
    yield client
    async with asyncio.timeout(60):
        await client.call(publish={"channel": "staff", "data": "still here"})
        assert (await client.publication())["data"] == "still here"


async def test_two_people_talk(alice, open_client, sign, secrets):
    bob = await open_client(sign("bob"))
    await bob.call(subscribe={"channel": "lobby"})
    secrets.add("payload-marker-1")
    assert "publish" in await alice.call(
        publish={"channel": "lobby", "data": {"text": "payload-marker-1"}}
    )
    for client in (alice, bob):
        publication = await client.publication()
        assert publication["data"] == {"text": "payload-marker-1"}
        assert publication["info"]["conn_info"] == {"name": "alice"}


async def test_rights_come_from_django(open_client, sign):
    carol = await open_client(sign("carol"))
    for room in ("staff", "absent"):
        assert (await carol.call(subscribe={"channel": room}))["error"] == {
            "code": 103,
            "message": "permission denied",
        }
    assert "subscribe" in await carol.call(subscribe={"channel": "announcements"})
    refused = await carol.call(publish={"channel": "announcements", "data": 1})
    assert refused["error"]["code"] == 103
    bob = await open_client(sign("bob"))
    assert "publish" in await bob.call(publish={"channel": "announcements", "data": 1})


async def test_several_commands_in_one_frame(alice):
    await alice.connection.send(
        '{"id":901,"ping":{}}\n{"id":902,"rpc":{"method":"none"}}\n{"send":{"data":1}}\n{}'
    )
    assert (await alice.until(lambda frame: frame.get("id") == 901))["ping"] == {}
    reply = await alice.until(lambda frame: frame.get("id") == 902)
    assert reply["error"]["code"] == 104


@pytest.mark.parametrize(
    "text", ['{"a":', "", "\ufeff{}", "]", "5", "null", "[]", "[" * 1000, "[" * 100_000, "NaN"]
)
async def test_a_malformed_command_closes_with_3501(alice, bystander, text):
    started = time.monotonic()
    await alice.connection.send(text)
    async with asyncio.timeout(60):
        assert await alice.closed() == 3501
    assert time.monotonic() - started < 5


async def test_binary_frames_close_3501(alice, bystander):
    await alice.connection.send(b'{"id":1,"ping":{}}')
    assert await alice.closed() == 3501


async def test_ten_bad_requests_in_a_row_close_3509(alice, bystander):
    for _ in range(9):
        assert (await alice.call(jump={}))["error"]["code"] == 107
    await alice.send(jump={})
    assert await alice.closed() == 3509


@pytest.mark.parametrize("text", ["😀", "\u202e", "\u0000", "<script>", "{{7*7}}", "\u2028"])
async def test_odd_text_is_delivered_as_it_came(alice, text):
    await alice.call(publish={"channel": "lobby", "data": text})
    assert (await alice.publication())["data"] == text


async def test_a_payload_keeps_its_very_bytes(alice):
    payload = '{"b" :  1.0,"a":"\\u00e9\\u0000","n":1E5, "big":12345678901234567890}'
    await alice.connection.send(f'{{"id":990,"publish":{{"channel":"lobby","data":{payload}}}}}')
    while True:
        text = await alice.connection.recv()
        if '"pub"' in text:
            assert payload in text
            return


async def test_invalid_utf_8_is_closed_by_the_server(alice, bystander):
    await alice.connection.send(b"\xff\xfe", text=True)
    assert await alice.closed() in (1006, 1007)  # Daphne cuts, uvicorn says why


async def test_the_size_of_a_message_is_limited(alice, bystander):
    fits, one_more = "x" * (65_536 - 2), "x" * (65_536 - 1)
    assert "publish" in await alice.call(publish={"channel": "lobby", "data": fits})
    refused = await alice.call(publish={"channel": "lobby", "data": one_more})
    assert refused["error"]["code"] == 106
    await alice.send(publish={"channel": "lobby", "data": "x" * 1_048_576})
    assert await alice.closed() in (1006, 1009, 3501)  # it depends on who counts first


async def test_a_hundred_thousand_keys_are_refused_quickly(alice, bystander):
    keys = {f"k{n}": 1 for n in range(50_000)}
    started = time.monotonic()
    reply = await alice.call(publish={"channel": "lobby", "data": keys})
    assert reply["error"]["code"] == 106
    assert time.monotonic() - started < 5


async def test_a_closed_client_has_time_to_answer(site):
    """Without our delay, Daphne waits at most a second, and sometimes loses the close frame."""
    client = ClientProtocol(parse_uri(site.ws_url))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    client.send_request(client.connect())
    async with asyncio.timeout(60):
        while client.close_rcvd is None:
            writer.write(b"".join(client.data_to_send()))
            client.receive_data(await reader.read(65_536))
            if client.events_received() and client.close_rcvd is None:
                client.send_text(b'{"id": 1, "connect": {"token": "a.b.c"}}')
    assert client.close_rcvd.code == 3500
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.2):
            await reader.read(1)
    writer.close()


async def test_a_disconnected_client_leaves_the_room(alice, site, redis_server):
    """The group in Redis is left when the last local session goes."""
    import redis.asyncio

    await alice.connection.close()
    client = redis.asyncio.Redis.from_url(redis_server)
    group = f"{site.env['REDIS_PREFIX']}__group__{group_name('lobby')}"
    try:
        async with asyncio.timeout(60):
            while await client.pubsub_channels(group):
                await asyncio.sleep(0.05)
    finally:
        await client.aclose()


async def test_the_plain_protocol(site, sign, secrets):
    url = site.ws_url + "rooms/lobby/"
    headers = {"Authorization": f"Bearer {sign('alice')}"}
    async with websockets.connect(url, additional_headers=headers) as socket:
        joined = json.loads(await socket.recv())
        assert (joined["type"], joined["room"]) == ("joined", "lobby")
        await socket.send('{"text": "hi"}')
        message = json.loads(await socket.recv())
        assert (message["type"], message["name"], message["data"]) == (
            "message",
            "alice",
            {"text": "hi"},
        )
        await socket.send("NaN")
        assert json.loads(await socket.recv())["code"] == 107


@pytest.mark.parametrize(
    ("room", "user", "codes"),
    [
        ("lobby", None, [3500, 3500]),
        ("staff", "carol", [103, 3507, 3507]),
        ("absent", "carol", [103, 3507, 3507]),
    ],
)
async def test_the_plain_protocol_says_why_it_refuses(site, sign, room, user, codes):
    headers = {"Authorization": f"Bearer {sign(user)}"} if user else {}
    url = f"{site.ws_url}rooms/{room}/"
    async with websockets.connect(url, additional_headers=headers) as socket:
        seen = []
        try:
            while True:
                frame = json.loads(await socket.recv())
                assert frame["type"] == "error" and frame["message"]
                seen.append(frame["code"])
        except websockets.ConnectionClosed as closed:
            seen.append(closed.rcvd.code)
    assert seen == codes
