"""Clocks of hosts that differ from that of Redis are named in the log."""

import time

import pytest

from realtime.layers.redis import clocks


@pytest.fixture(autouse=True)
def nothing_logged():
    clocks._log._of_kind.clear()


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(30, "30 s ahead of that of Redis at r:1/0"), (-30, "30 s behind that of Redis at r:1/0")],
)
def test_a_clock_that_differs_is_named_once_a_minute(ahead, words, caplog):
    for _ in range(3):
        clocks.compare("r:1/0", 1000.0 + ahead, 1000.0, 1000.0 + ahead)
    [record] = caplog.records
    assert words in record.getMessage()


@pytest.mark.parametrize("ahead", [-4.9, 0, 4.9])
def test_some_seconds_are_no_difference(ahead, caplog):
    clocks.compare("r:1/0", 1000.0 + ahead, 1000.0, 1000.0 + ahead)
    assert not caplog.records


def test_a_late_answer_is_no_difference(caplog):
    """It was asked and answered at any time between."""
    clocks.compare("r:1/0", 1000.0, 1029.0, 1060.0)
    clocks.compare("r:1/0", 1000.0, 1001.0, 1060.0)
    assert not caplog.records


async def test_each_heartbeat_compares(open_redis_layer, caplog, monkeypatch):
    layer = open_redis_layer()
    await layer.beat("p", b"{}", 30)
    assert not caplog.records
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 30)
    assert await layer.beat("p", b"{}", 30) is True
    assert "30 s ahead of" in caplog.text
