"""A Redis that is away is reported in time."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from realtime.exceptions import LayerUnavailable
from realtime.layers.redis import availability


async def test_a_redis_that_is_away_is_told_in_time(open_redis_layer, unused_port):
    layer = open_redis_layer(hosts=[f"redis://127.0.0.1:{unused_port}"])
    async with asyncio.timeout(60):
        with pytest.raises(LayerUnavailable):
            await layer.append("lobby", b"1")
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.append_sync, "lobby", b"1")
        with pytest.raises(LayerUnavailable):
            await layer.history("lobby")
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.store_ticket, "t", b"x", 1)
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.group_send_sync, "chat", {"type": "chat.message"})
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.live_processes_sync)
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.mark_changes_sync, [("1", None)])
        with pytest.raises(LayerUnavailable):
            await asyncio.to_thread(layer.end_sign_in_sync, "s1", 60)


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
