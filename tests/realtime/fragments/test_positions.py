"""A page learns from where it has to catch up, and never waits long for it."""

import time

import pytest
from channels.layers import channel_layers

from realtime.exceptions import LayerUnavailable
from realtime.fragments import positions
from realtime.layers.memory import MemoryRoomLayer
from realtime.rooms.publications import Retention


@pytest.fixture(autouse=True)
def nothing_away(monkeypatch):
    monkeypatch.setattr(positions, "_away_until", 0.0)
    positions._log._of_kind.clear()


@pytest.fixture
def use():
    """`use(layer)`: make it the layer of the site."""
    before = dict(channel_layers.backends)
    yield lambda layer: channel_layers.set("default", layer)
    channel_layers.backends = before


def test_what_was_published_in_the_last_seconds_counts_as_missed(use, monkeypatch):
    layer = MemoryRoomLayer()
    use(layer)
    for _ in range(3):
        layer.append_sync("stock", b"1", Retention(10, 60))
    assert positions.position_before("stock").offset == 0
    monkeypatch.setattr(positions, "OVERLAP_SECONDS", -1.0)
    assert positions.position_before("stock").offset == 3


class Away(MemoryRoomLayer):
    asked = 0

    def earlier_position_sync(self, room, ago_seconds):
        self.asked += 1
        raise LayerUnavailable("Redis does not answer")


class Hanging(Away):
    def earlier_position_sync(self, room, ago_seconds):
        self.asked += 1
        time.sleep(2)


@pytest.mark.parametrize("kind", [Away, Hanging])
def test_a_redis_that_is_away_costs_one_page_half_a_second(use, kind, caplog):
    layer = kind()
    use(layer)
    begun = time.monotonic()
    assert [positions.position_before("stock") for _ in range(50)] == [None] * 50
    assert time.monotonic() - begun < 1.9
    assert layer.asked == 1
    assert caplog.text.count("rendered without the positions") == 1


def test_other_errors_are_not_hidden(use):
    class Broken(MemoryRoomLayer):
        def earlier_position_sync(self, room, ago_seconds):
            raise ZeroDivisionError

    use(Broken())
    with pytest.raises(ZeroDivisionError):
        positions.position_before("stock")
