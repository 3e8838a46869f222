"""Whether a process lives, and whether it should get work."""

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.hub import drain
from realtime.layers import get_layer

LIVE, READY = "/realtime/health/live/", "/realtime/health/ready/"


def asked(client, address):
    answer = client.get(address)
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, answer.json()["status"]


def test_a_process_that_serves_is_ready(client):
    assert asked(client, LIVE) == (200, "live")
    assert asked(client, READY) == (200, "ready")


@pytest.mark.parametrize("state", [drain._State.DRAINING, drain._State.HANDED_ON])
def test_one_that_ends_is_not(client, monkeypatch, state):
    monkeypatch.setattr(drain._drain, "state", state)
    assert asked(client, READY) == (503, "draining")
    assert asked(client, LIVE) == (200, "live")


def test_nor_is_one_without_redis(client, monkeypatch):
    def no_answer():
        raise LayerUnavailable("Redis does not answer at a secret place")

    monkeypatch.setattr(get_layer(), "metrics_sync", no_answer)
    assert asked(client, READY) == (503, "no redis")
    assert asked(client, LIVE) == (200, "live")
