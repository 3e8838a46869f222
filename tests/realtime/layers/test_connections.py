"""The contract of live connections, on both layers."""

import asyncio


def listed(layer):
    return {alive.info: sorted(alive.connections) for alive in layer.live_processes_sync()}


async def test_connections_are_listed_by_process(layer):
    assert await layer.beat("p1", b"first", 10) is False
    assert await layer.beat("p1", b"first", 10) is True
    await layer.beat("p2", b"second", 10)
    await layer.write_connections("p1", {"a": b"A", "b": b"B"}, {}, 10)
    await layer.write_connections("p1", {"a": b"A again"}, {"b": "1"}, 10)
    await layer.write_connections("p2", {"c": b"C"}, {}, 10)
    assert await asyncio.to_thread(listed, layer) == {b"first": [b"A again"], b"second": [b"C"]}
    await layer.beat("p1", b"", 0)
    assert await asyncio.to_thread(listed, layer) == {b"second": [b"C"]}


async def test_a_user_has_as_many_connections_as_are_allowed(layer):
    assert await layer.admit("p1", [("a", "1"), ("b", "1"), ("c", "2")], 2) == [True] * 3
    assert await layer.admit("p2", [("d", "1")], 2) == [False]
    assert await layer.admit("p1", [("a", "1")], 2) == [True], "it is counted already"
    await layer.write_connections("p1", {}, {"a": "1"}, 10)
    assert await layer.admit("p2", [("d", "1"), ("e", "1")], 2) == [True, False]
    assert await layer.admit("p2", [("e", "1")], 0) == [True], "any number is allowed"


async def test_connections_of_a_dead_process_do_not_count(open_redis_layer, settings):
    settings.REALTIME = {"PROCESS_TTL_SECONDS": 60}
    layer = open_redis_layer()
    await layer.beat("p1", b"first", 60)
    assert await layer.admit("p1", [("a", "1"), ("b", "1")], 2) == [True, True]
    await layer.write_connections("p1", {"a": b"A"}, {}, 60)
    assert await layer.admit("p2", [("c", "1")], 2) == [False]
    await layer.beat("p1", b"first", 0.2)  # its last one
    async with asyncio.timeout(60):
        while await asyncio.to_thread(listed, layer):
            await asyncio.sleep(0.02)
        while await layer.admit("p2", [("c", "1")], 2) == [False]:
            await asyncio.sleep(0.02)
    assert await layer.admit("p2", [("d", "1"), ("e", "1")], 2) == [True, False]


async def test_metrics_of_a_process_stay_until_it_ends(layer):
    def read():
        return sorted(layer.metrics_sync())

    assert await asyncio.to_thread(read) == []
    for process in ("p1", "p2"):
        await layer.beat(process, b"{}", 10)
        await layer.write_metrics(process, b"old", 10)
        await layer.write_metrics(process, process.encode(), 10)
    assert await asyncio.to_thread(read) == [b"p1", b"p2"]
    await layer.beat("p1", b"", 0)
    assert await asyncio.to_thread(read) == [b"p2"]
