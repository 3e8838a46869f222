"""What a client publishes: how deep it may nest is the same on every Python."""

import json

import pytest

from realtime.rooms import handlers
from tests.support.sessions import call, send

pytestmark = pytest.mark.django_db(transaction=True)


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [101, 490, 997, 20_000])
@pytest.mark.parametrize(
    "command",
    ['"publish":{"channel":"lobby","data":DEEP}', '"rpc":{"method":"echo","data":DEEP}'],
    ids=["publish", "rpc"],
)
async def test_a_payload_that_nests_too_deep_is_a_bad_request(
    connected, lobby, monkeypatch, command, levels
):
    monkeypatch.setattr(handlers, "_rpc", {"echo": lambda user, data: data})
    await call(connected, subscribe={"channel": "lobby"})
    await send(connected, f'{{"id":900,{command.replace("DEEP", nested(levels))}}}')
    reply = await connected.transport.until(lambda frame: frame.get("id") == 900)
    assert reply["error"]["code"] == 107
    assert connected.transport.closed is None


async def test_a_payload_at_the_limit_is_published(connected, lobby):
    await call(connected, subscribe={"channel": "lobby"})
    await call(connected, publish={"channel": "lobby", "data": json.loads(nested(100))})
    heard = await connected.transport.until(lambda frame: "pub" in frame.get("push", {}))
    assert heard["push"]["pub"]["data"] == json.loads(nested(100))
