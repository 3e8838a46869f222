"""Rate limits of users: in one process at once, in all of them after a report."""

import pytest

from realtime.hub.limits import RateLimit
from realtime.layers.memory import MemoryRoomLayer


@pytest.fixture(autouse=True)
def small(settings):
    settings.REALTIME = {
        "COMMANDS_PER_SECOND": 0.001,
        "COMMANDS_BURST": 10,
        "BYTES_PER_SECOND": 0.001,
        "BYTES_BURST": 1_000,
    }


@pytest.fixture
async def limits():
    """`limits(layer)`: the limits of one process, of commands and of bytes."""
    made = []

    def _limits(layer):
        pair = (
            RateLimit(layer, "COMMANDS_PER_SECOND", "COMMANDS_BURST", "commands"),
            RateLimit(layer, "BYTES_PER_SECOND", "BYTES_BURST", "bytes"),
        )
        made.extend(pair)
        return pair

    yield _limits
    for limit in made:
        await limit.close()


async def test_what_costs_more_than_is_left_costs_one(limits):
    commands, _ = limits(MemoryRoomLayer())
    assert commands.take("1", 6)
    assert not commands.take("1", 6)
    assert commands.take("1", 3)
    assert not commands.take("1", 1)


async def test_what_costs_more_than_the_burst_takes_all_of_it(limits):
    _, size = limits(MemoryRoomLayer())
    assert size.take("1", 5_000)
    assert not size.take("1", 1)


async def test_a_limit_of_zero_is_none(limits, settings):
    settings.REALTIME = {"BYTES_PER_SECOND": 0}
    _, size = limits(MemoryRoomLayer())
    assert all(size.take("1", 10**9) for _ in range(100))


async def test_other_processes_learn_of_bytes_and_of_commands(limits):
    layer = MemoryRoomLayer()
    (commands, size), (other_commands, other_size) = limits(layer), limits(layer)
    for limit in (commands, other_commands):
        assert limit.take("1", 1)
    for limit in (size, other_size):
        assert limit.take("1", 100)
    for limit in (commands, size, other_commands, other_size):
        await limit._share()
    assert commands.take("1", 7)
    assert size.take("1", 700)
    for limit in (commands, size):
        await limit._share()
    for limit in (other_commands, other_size):
        limit.take("1", 1)
        await limit._share()
    assert not other_commands.take("1", 5)
    assert not other_size.take("1", 500)
