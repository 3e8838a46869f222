"""The native protocol in Protobuf over real sockets, beside the other forms."""

import asyncio
import json
import urllib.request

import pytest
import websockets
from centrifuge.protocol import client_pb2 as sdk
from websockets.exceptions import InvalidStatus

from realtime.protocols.centrifuge_protobuf import CentrifugeProtobufProtocol
from realtime.protocols.protobuf.fields import delimited

SECONDS = 60
PROTOBUF = {"subprotocols": ["centrifuge-protobuf"]}


def command(id=0, **body):
    return delimited(sdk.Command(id=id, **body).SerializeToString())


def replies_in(frame):
    parts = CentrifugeProtobufProtocol().split(frame, 10_000)
    return [sdk.Reply.FromString(b"" if part == b"\x00" else part) for part in parts]


class BinaryClient:
    """A bare client that reads and writes with the classes of the Python SDK."""

    def __init__(self, connection):
        self.connection = connection
        self.heard = []
        self._ids = iter(range(1, 1_000))

    async def call(self, **body):
        """Send a command and wait for its reply."""
        id = next(self._ids)
        await self.connection.send(command(id, **body))
        return await self.reply_to(id)

    async def reply_to(self, id):
        while True:
            for reply in await self._read():
                if reply.id == id:
                    return reply

    async def publications(self, count):
        while len(self.heard) < count:
            await self._read()
        return self.heard

    async def _read(self):
        replies = replies_in(await self.connection.recv())
        self.heard += [reply.push.pub for reply in replies if reply.push.HasField("pub")]
        return replies


@pytest.fixture
async def open_binary(site):
    opened = []

    async def _open(token="", query="", **options):
        connection = await websockets.connect(site.ws_url + query, **(PROTOBUF | options))
        opened.append(connection)
        assert connection.subprotocol == "centrifuge-protobuf"
        client = BinaryClient(connection)
        connected = await client.call(connect={"token": token})
        assert connected.connect.ping == 25
        return client

    yield _open
    for connection in opened:
        await connection.close()


async def closed(client):
    with pytest.raises(websockets.ConnectionClosed) as ended:
        while True:
            await client.connection.recv()
    return ended.value.rcvd.code if ended.value.rcvd else 1006


async def test_clients_of_all_forms_hear_everything_once_and_in_order(
    site, sign, open_client, open_binary
):
    room, each = "lobby", 30
    async with asyncio.timeout(SECONDS):
        alice = await open_client(sign("alice"))
        bob = await open_binary(sign("bob"))
        await alice.call(subscribe={"channel": room})
        assert (await bob.call(subscribe={"channel": room})).HasField("subscribe")
        plain = {"additional_headers": {"Authorization": f"Bearer {sign('carol')}"}}
        async with websockets.connect(f"{site.ws_url}rooms/{room}/", **plain) as carol:
            assert json.loads(await carol.recv())["type"] == "joined"
            for n in range(each):
                said = json.dumps({"bob": n, "é": "\u2028"}, ensure_ascii=False).encode()
                await asyncio.gather(
                    alice.send(publish={"channel": room, "data": {"alice": n}}),
                    bob.connection.send(command(500 + n, publish={"channel": room, "data": said})),
                    carol.send(json.dumps({"carol": n})),
                )
            by_alice = [await alice.publication() for _ in range(3 * each)]
            by_bob = await bob.publications(3 * each)
            by_carol = [json.loads(await carol.recv()) for _ in range(3 * each)]
    heard = [(pub["offset"], pub["data"]) for pub in by_alice]
    assert heard == [(pub.offset, json.loads(pub.data)) for pub in by_bob]
    assert heard == [(message["offset"], message["data"]) for message in by_carol]
    assert [pub.info.conn_info for pub in by_bob] == [
        json.dumps(pub["info"]["conn_info"], separators=(",", ":")).encode() for pub in by_alice
    ]
    for name in ("alice", "bob", "carol"):
        assert [data[name] for _, data in heard if name in data] == list(range(each))


REFUSED = {
    107: [
        *[{"publish": {"channel": "lobby", "data": data}} for data in (b"", b"\xff\x00", b"NaN")],
        {"publish": {"channel": "lobby", "data": b"[" * 30_000 + b"]" * 30_000}},
        {"publish": {"data": b"1"}},
        {"subscribe": {}},
        {"send": {"data": b"{"}},
    ],
    103: [{"subscribe": {"channel": "absent"}}, {"history": {"channel": "absent"}}],
    104: [{"rpc": {"method": "nothing", "data": b"1"}}],
    106: [{"publish": {"channel": "lobby", "data": b'"%b"' % (b"x" * 65_537)}}],
    108: [{"subscribe": {"channel": "lobby", "tf": {"op": "and"}}}],
}


async def test_commands_are_refused_with_the_codes_of_json(sign, open_binary):
    async with asyncio.timeout(SECONDS):
        client = await open_binary(sign("alice"))
        for code, bodies in REFUSED.items():
            for body in bodies:
                refused = await client.call(**body)
                assert refused.error.code == code, (body.keys(), refused)
                assert (await client.call(ping={})).HasField("ping")


@pytest.mark.parametrize(
    "frame",
    ["{}", b"", b"\x80", b"\x09\x08\x01", b"\xff" * 20, b"\x02\x5a\x00", b"\x00" * 1_000_000],
    ids=["text", "empty", "no length", "cut off", "huge", "no id", "a million"],
)
async def test_a_frame_that_can_not_be_answered_closes_with_3501(sign, open_binary, frame):
    async with asyncio.timeout(SECONDS):
        client = await open_binary(sign("alice"))
        await client.connection.send(frame)
        assert await closed(client) == 3501


async def test_a_message_in_several_frames_is_read_as_one(sign, open_binary):
    async with asyncio.timeout(SECONDS):
        client = await open_binary(sign("alice"))
        body = command(91, publish={"channel": "lobby", "data": b'"%b"' % (b"x" * 50_000)})
        await client.connection.send([body[:1], body[1:30_000], body[30_000:]])
        assert (await client.reply_to(91)).HasField("publish")
        await client.connection.send(command(92, publish={"data": b"x" * 2**20}))
        assert await closed(client) in (1006, 1009, 3501)


async def test_several_commands_in_a_frame_are_answered_in_order(sign, open_binary):
    async with asyncio.timeout(SECONDS):
        client = await open_binary(sign("alice"))
        body = {"publish": {"channel": "lobby", "data": b"1"}}
        malformed = b"\x05\x08\x5c\x5a\x01\x00"  # a ping with a field that there is not
        await client.connection.send(
            command(91, ping={}) + command() + malformed + command(93, **body)
        )
        assert (await client.reply_to(91)).HasField("ping")
        assert (await client.reply_to(92)).error.code == 107
        assert (await client.reply_to(93)).HasField("publish")


async def test_each_credential_is_accepted_beside_it(site, sign, secrets, open_binary):
    token = sign("alice")
    beside = {"subprotocols": ["centrifuge-protobuf", f"bearer.{token}"]}
    header = {"additional_headers": {"Authorization": f"Bearer {token}"}}
    issued = urllib.request.Request(
        f"{site.url}/realtime/ticket/", method="POST", headers=header["additional_headers"]
    )
    ticket = json.load(await asyncio.to_thread(urllib.request.urlopen, issued))["ticket"]
    secrets.add(ticket)
    async with asyncio.timeout(SECONDS):
        for options in (beside, header, {"query": f"?ticket={ticket}"}, {"token": token}):
            client = await open_binary(**options)
            assert (await client.call(subscribe={"channel": "lobby"})).HasField("subscribe")


@pytest.mark.parametrize(
    ("path", "offered"),
    [("", "graphql-ws"), ("", "x" * 300), ("rooms/lobby/", "centrifuge-protobuf")],
)
async def test_a_form_that_is_not_spoken_is_refused(site, sign, path, offered):
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(
            site.ws_url + path, subprotocols=[offered, f"bearer.{sign('alice')}"]
        )
    assert refused.value.response.status_code == 403
