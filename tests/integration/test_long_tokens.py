"""Tokens of many kilobytes: what each way carries on each server."""

import pytest
import websockets

from realtime.authentication import credentials


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "uvicorn-fast"])
def site(request, start_site):
    """Every way is switched on, and tokens may be long."""
    return start_site(request.param, DJANGO_SETTINGS_MODULE="tests.settings.long_tokens")


async def test_each_way_carries_what_it_promises(site, sign, open_client, secrets):
    most = credentials.LINE_MAX_BYTES
    for length, accepted in ((most - 3, True), (most + 100, False)):
        token = padded(sign, length)
        ways = [
            {"subprotocols": ["realtime.v1", f"bearer.{token}"]},
            {"additional_headers": {"Authorization": f"Bearer {token}"}},
            {"path": f"?token={token}"},
            {"additional_headers": {"Cookie": f"access_token={token}"}, "origin": site.url},
        ]
        for way in ways:
            client = await open_client(connect=False, **way)
            if accepted:
                assert "connect" in await client.call(connect={}), way.keys()
            else:
                assert "connect command" in await refusal(client), way.keys()


async def test_the_connect_command_carries_what_the_setting_says(site, sign, open_client):
    client = await open_client(padded(sign, 50_000))
    assert "connect" in client.reply
    client = await open_client(connect=False)
    await client.send(connect={"token": padded(sign, 70_000)})
    assert "TOKEN_MAX_BYTES is 60000" in await refusal(client)


async def refusal(client):
    """The reason with which a client is refused for good."""
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await client.until(lambda frame: True)
    assert closed.value.rcvd.code == 3500
    return closed.value.rcvd.reason


def padded(sign, length):
    """A token of `length` bytes, or up to three less."""
    short = sign("alice", pad="")
    token = sign("alice", pad="x" * ((length - len(short)) * 3 // 4))
    assert length - 3 <= len(token) <= length
    return token
