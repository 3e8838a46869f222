"""The state of a room, with which the official SDKs begin."""

import asyncio
import json

import pytest
from centrifuge import Client, SubscriptionEventHandler


@pytest.fixture(scope="module")
def site(start_site):
    settings = "tests.settings.authority"
    return start_site("uvicorn-fast", redis=True, DJANGO_SETTINGS_MODULE=settings)


@pytest.mark.parametrize("sdk", ["centrifuge", "centrifuge/build/protobuf"])
def test_no_message_is_lost_between_the_state_and_the_entry(site, sign, run_node, sdk):
    tokens = json.dumps({name: sign(name) for name in ("alice", "bob")})
    printed = run_node(
        "centrifuge.mjs", WS_URL=site.ws_url, SCENARIO="state", SDK=sdk, TOKENS=tokens
    )
    assert printed == [["state", True, "none is missing", True]]


async def test_the_python_sdk_gets_the_state(site, sign):
    joined = asyncio.get_running_loop().create_future()

    class Events(SubscriptionEventHandler):
        async def on_subscribed(self, context):
            joined.set_result(context.data)

    client = Client(site.ws_url, token=sign("alice"))
    room = client.new_subscription("counts/2", events=Events())
    async with asyncio.timeout(60):
        await client.connect()
        await room.subscribe()
        assert await joined == {"count": 0}
        await client.disconnect()
    # The SDK closes its socket in a task of its own.
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(tasks, timeout=60)
