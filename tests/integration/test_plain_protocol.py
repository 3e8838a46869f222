"""The plain protocol on each server: every frame is a JSON object."""

import asyncio
import json

import pytest

SECONDS = 60


@pytest.fixture
async def member(open_client, sign):
    """Alice in the lobby, over a bare WebSocket."""
    headers = {"Authorization": f"Bearer {sign('alice')}"}
    client = await open_client(path="rooms/lobby/", connect=False, additional_headers=headers)
    async with asyncio.timeout(SECONDS):
        assert json.loads(await client.connection.recv())["type"] == "joined"
    return client


async def test_a_change_of_rights_that_the_protocol_does_not_report_writes_nothing(
    site, member, open_client, sign
):
    native = await open_client(sign("alice"))
    change = (
        "from django.contrib.auth.models import Group, User; "
        "User.objects.get(username='alice').groups.add(Group.objects.create(name='Night shift'))"
    )
    async with asyncio.timeout(SECONDS):
        await asyncio.to_thread(site.shell, change)
        await native.until(lambda frame: "message" in frame.get("push", {}))
        await native.call(publish={"channel": "lobby", "data": "after the change"})
        frame = await member.connection.recv()
    assert json.loads(frame)["data"] == "after the change"
