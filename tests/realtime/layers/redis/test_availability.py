"""A Redis that is away is reported in time."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from realtime.exceptions import LayerUnavailable
from realtime.layers.redis import availability


@pytest.mark.parametrize("password", ["", "site:hidden@"])
async def test_a_redis_that_is_away_is_told_in_time(open_redis_layer, unused_port, password):
    layer = open_redis_layer(hosts=[f"redis://{password}127.0.0.1:{unused_port}"])
    in_thread = asyncio.to_thread
    calls = [
        lambda: layer.append("lobby", b"1"),
        lambda: in_thread(layer.append_sync, "lobby", b"1"),
        lambda: layer.history("lobby"),
        lambda: in_thread(layer.history_sync, "lobby"),
        lambda: in_thread(layer.store_ticket, "t", b"x", 1),
        lambda: in_thread(layer.group_send_sync, "chat", {"type": "chat.message"}),
        lambda: in_thread(layer.live_processes_sync),
        lambda: in_thread(layer.mark_changes_sync, [("1", None)]),
        lambda: in_thread(layer.end_sign_in_sync, "s1", 60),
    ]
    async with asyncio.timeout(60):
        for call in calls:
            with pytest.raises(LayerUnavailable) as raised:
                await call()
            assert str(raised.value) == (
                f"Redis does not answer at 127.0.0.1:{unused_port}. "
                "Start it, or correct CHANNEL_LAYERS."
            )


@pytest.mark.parametrize("error", [ResponseError("LOADING"), OSError(), TimeoutError()])
def test_errors_of_redis_become_one_error(error):
    with pytest.raises(LayerUnavailable) as raised, availability.redis_errors():
        raise error
    assert raised.value.__cause__ is error


async def test_commands_that_take_too_long_are_ended(monkeypatch):
    monkeypatch.setattr(availability, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(LayerUnavailable):
        async with availability.in_time():
            await asyncio.Event().wait()


async def test_other_errors_pass():
    with pytest.raises(RuntimeError):
        async with availability.in_time():
            raise RuntimeError("a mistake of the caller")
