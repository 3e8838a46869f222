"""What is said: payloads, mistakes and hooks, for the clients of each protocol."""

import json
import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from realtime import rooms
from realtime.codes import CloseCode, Error
from realtime.exceptions import InvalidPayload
from realtime.server_api.publishing import apublish
from tests.support.protocol_clients import Polling, Refused, SocketIO, needs

BAD_REQUEST = Error.BAD_REQUEST.code
TOO_LARGE = Error.LIMIT_EXCEEDED.code
NOT_PORTABLE = ["NaN", "Infinity", "-Infinity", "1e999", r'"\ud800"', r'{"a":"\ud83d"}', "{", ""]
AS_THEY_ARE = [
    '"\U0001f600"',
    '"\u202egnp.exe"',
    r'"\u0000"',
    '"<script>alert(1)</script>"',
    '"{{7*7}}"',
    '{"a":1.0,"b":[1e3,-0]}',
    '"line\\nbreak\\u2028"',
    "null",
    "0",
    '""',
]
KIB = 1024


async def answer_to(client, raw):
    """The code with which the server answers something raw; None if it goes on as if nothing was
    sent."""
    errors = len(getattr(client, "errors", ())), len(getattr(client, "_errors", ()))
    client.send_raw(raw)

    def look():
        replies = getattr(client, "_replies", {})
        for reply in [*replies.values()]:
            if isinstance(reply, Refused):
                replies.clear()
                return reply.code
        for name, before in zip(("errors", "_errors"), errors, strict=True):
            if getattr(client, name, ())[before:]:
                return getattr(client, name)[before].code
        return client.close_code

    return await client.until(look, True)


@needs("sending")
async def test_what_is_not_of_the_protocol_is_answered_or_ends_the_connection(site, alice):
    for raw, expected in site.kind.bad_input.items():
        client = await site.enter(alice)
        assert await answer_to(client, raw) == expected, raw
        if expected == BAD_REQUEST:
            await client.publish("lobby", 1)
            assert client.is_open
        await site.is_left_by(client)


@needs("sending")
async def test_a_client_that_goes_on_with_mistakes_is_closed(site, alice):
    client = await site.enter(alice)
    for _ in range(9):
        assert (await client.refusal(client.publish_text("lobby", "NaN")))[0] == BAD_REQUEST
    await client.publish("lobby", "a good one starts the count again")
    for _ in range(9):
        assert (await client.refusal(client.publish_text("lobby", "NaN")))[0] == BAD_REQUEST
    client.begin("lobby", "NaN")
    assert await client.until_closed() == CloseCode.TOO_MANY_ERRORS


@needs("sending")
async def test_payloads_that_not_every_client_can_read_are_refused(site, alice, bob):
    reader = await site.enter(bob)
    client = await site.enter(alice)
    given = NOT_PORTABLE + ([b'"\xff"', b"\x00"] if client.name == "protobuf" else [])
    for text in given:
        try:
            await client.publish_text("lobby", text)
        except Refused as refused:
            assert refused.code in (BAD_REQUEST, CloseCode.BAD_REQUEST), text
        else:
            raise AssertionError(f"{text} was published")
        if not client.is_open:
            client = await site.enter(alice)
        await client.publish("lobby", "the only one")
        assert await reader.receive() == "the only one"


async def test_payloads_arrive_byte_for_byte(site, alice, bob):
    reader = await site.enter(bob)
    writer = await site.enter(alice) if reader.has("sending") else None
    for text in AS_THEY_ARE:
        if writer is not None:
            await writer.publish_text("lobby", text)
        else:
            await site.publish_text(alice, "lobby", text)
        assert await reader.receive() == json.loads(text)
        if reader.name != "sse":  # whose transcript is decoded
            assert text.encode() in reader.said, text
    if reader.name == "native":
        return  # there, a line break divides two commands
    text = '[1,\n2,\r\n"a"]'
    if writer is not None:
        await writer.publish_text("lobby", text)
    else:
        await site.publish_text(alice, "lobby", text)
    assert await reader.receive() == [1, 2, "a"]


@needs("sending")
async def test_nesting_and_size_have_limits(site, alice):
    client = await site.enter(alice)
    for levels in (1_000, 30_000):
        text = "[" * levels + "]" * levels
        code, _ = await client.refusal(client.publish_text("lobby", text))
        assert code in (BAD_REQUEST, CloseCode.BAD_REQUEST), levels
        if not client.is_open:
            client = await site.enter(alice)
    many = json.dumps({f"{number:x}": 0 for number in range(5_000)}, separators=(",", ":"))
    await client.publish_text("lobby", many)
    assert len(await client.receive()) == 5_000
    fitting = '"' + "x" * (64 * KIB - 2) + '"'
    await client.publish_text("lobby", fitting)
    assert len(await client.receive()) == 64 * KIB - 2
    code, _ = await client.refusal(client.publish_text("lobby", fitting[:-1] + 'x"'))
    assert code == TOO_LARGE
    assert client.is_open
    code, _ = await client.refusal(client.publish_text("lobby", '"' + "x" * KIB * KIB + '"'))
    assert code in (CloseCode.BAD_REQUEST, 413, 400)
    assert await client.until_closed() == code


async def test_what_the_site_publishes_reaches_everybody_or_nobody(site, alice):
    client = await site.enter(alice)
    for wrong in ({1, 2}, float("nan"), "x" * 2 * KIB * KIB):
        with pytest.raises(InvalidPayload):
            await apublish("lobby", wrong, on_commit=False)
    await apublish("lobby", {"text": "hello"}, on_commit=False)
    assert await client.receive() == {"text": "hello"}


@needs("sending")
async def test_a_hook_that_raises_is_an_error_with_a_reference(site, alice, room_in_code, caplog):
    site.errors = ["a command failed, reference"]

    class Broken(rooms.RoomType):
        def can_join(self, user):
            return True

        def on_publish(self, user, data):
            raise ValueError("a mistake of the site")

    room_in_code("broken", Broken)
    client = await site.enter(alice, "broken")
    code, message = await client.refusal(client.publish("broken", 1))
    assert code == Error.INTERNAL.code
    [reference] = re.findall("reference ([0-9a-f]{8})", message)
    assert f"a command failed, reference {reference}" in caplog.text
    assert client.is_open
    code, again = await client.refusal(client.publish("broken", 1))
    assert code == Error.INTERNAL.code
    assert again != message


PIECES = ["0", "1", "2", "3", "40", "41", "42", "43", "45", "451-", "4", "b", "\x1e", "[", "]", '"']
PIECES += ["{}", '["join","lobby"]', '["publish","lobby",1]', "NaN", "/x,", "7", "{", ",", ":", "é"]
messages = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join)


@pytest.mark.parametrize("kind", [SocketIO, Polling], indirect=True)
async def test_no_message_of_any_form_is_a_mistake_of_the_server(site, alice):
    """Any text, in any order, and beside it a client that goes on."""
    client = await site.enter(alice)
    found = []

    @examples(
        max_examples=15,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(messages, min_size=1, max_size=4))
    def collect(texts):
        found.append(texts)

    collect()
    for texts in found:
        if not client.is_open:
            await site.is_left_by(client)
            client = await site.enter(alice)
        for text in texts:
            client.send_raw(text)
        with suppress(Refused):  # it is answered after all that was sent before it
            await client.command("presence_stats", channel="lobby")
        assert client.close_code in (None, 400, 1000, *map(int, CloseCode))
        assert client.close_code != CloseCode.INTERNAL
        if client.name == "polling":
            assert set(client.statuses) <= {200, 400, 413}
