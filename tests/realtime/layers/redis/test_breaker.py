"""A Redis that hangs costs a caller one wait; while it hangs, calls fail at once."""

import asyncio
import threading
import time

import pytest

from realtime.exceptions import LayerUnavailable
from realtime.layers.base import Append
from realtime.layers.redis import breaker, clients
from realtime.layers.redis.breaker import Breaker
from tests.support.faults import FaultProxy


@pytest.fixture
def probes(monkeypatch):
    """The outcomes of the probes to come, and an event for each that has begun."""
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0)
    return []


def is_open(tested):
    try:
        tested.check()
    except LayerUnavailable:
        return True
    return False


def probing(outcomes, begun, may_go_on):
    def probe():
        begun.release()
        assert may_go_on.acquire(timeout=30)
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    return probe


@pytest.mark.parametrize("last", [None, ConnectionRefusedError()])
def test_it_is_open_until_a_probe_is_answered_or_refused(probes, last):
    probes += [TimeoutError(), last]
    begun, may_go_on = threading.Semaphore(0), threading.Semaphore(0)
    tested = Breaker(probing(probes, begun, may_go_on), "box:6379")
    assert not is_open(tested)
    tested.trip()
    for _ in range(2):
        assert begun.acquire(timeout=30)
        assert is_open(tested)
        may_go_on.release()
    tested._prober.join(30)
    assert not is_open(tested)


def test_it_closes_after_a_while_so_that_no_thread_stays(probes, monkeypatch):
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0)
    tested = Breaker(lambda: pytest.fail("probed"), "box:6379")
    tested.trip()
    tested._prober.join(30)
    assert not is_open(tested)


@pytest.fixture
def proxy(redis_server):
    proxy = FaultProxy(int(redis_server.rpartition(":")[2]))
    yield proxy
    proxy.stop()


def counted_attempts(monkeypatch):
    attempts = []
    original = clients._attempt
    monkeypatch.setattr(clients, "_attempt", lambda *args: (attempts.append(1), original(*args))[1])
    return attempts


async def test_one_call_waits_for_a_redis_that_hangs_and_all_others_fail_at_once(
    open_redis_layer, proxy, monkeypatch
):
    layer = open_redis_layer(hosts=[f"redis://127.0.0.1:{proxy.port}"])
    await asyncio.to_thread(layer.append_sync, "lobby", b"1")
    proxy.swallow()
    attempts = counted_attempts(monkeypatch)

    def work():
        for _ in range(50):
            with pytest.raises(LayerUnavailable):
                layer.append_sync("lobby", b"2")
            with pytest.raises(LayerUnavailable):
                layer.mark_changes_sync([("1", None)])
            with pytest.raises(LayerUnavailable):
                layer.send_order_sync({"type": "t"})
            assert isinstance(layer.append_all_sync([Append("lobby", b"3")])[0], LayerUnavailable)

    await asyncio.to_thread(work)
    assert len(attempts) == 1
    proxy.heal()
    deadline = time.monotonic() + 30
    while True:
        try:
            await asyncio.to_thread(layer.append_sync, "lobby", b"4")
            break
        except LayerUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
