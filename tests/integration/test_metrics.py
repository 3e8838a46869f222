"""Metrics of two processes in one answer, and the health of a process that ends."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-of-the-scraper"
SECONDS = 60


@pytest.fixture(scope="module")
def pair(start_site):
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings.metrics"}
    daphne = start_site("daphne", redis=True, **settings)
    return daphne, start_site("uvicorn-fast", beside=daphne)


@pytest.fixture
def site(pair):
    return pair[0]


def get(site, path):
    request = urllib.request.Request(
        f"{site.url}/realtime/{path}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def totals(site):
    status, text = get(site, "metrics/")
    assert status == 200, text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            process = sample.labels.pop("process")
            found.setdefault((sample.name, *sample.labels.values()), {})[process] = sample.value
    return found


async def test_one_process_answers_for_all(pair, open_client, sign):
    clients = [await open_client(sign("bob"), url=site.ws_url) for site in pair]
    for client in clients:
        assert "subscribe" in await client.call(subscribe={"channel": "lobby"})
    assert "publish" in await clients[0].call(publish={"channel": "lobby", "data": 1})
    for client in clients:
        await client.publication("lobby")
    assert (await clients[1].call(subscribe={"channel": "nowhere"}))["error"]["code"] == 103
    async with asyncio.timeout(SECONDS):
        while True:
            found = await asyncio.to_thread(totals, pair[1])
            delivered = found.get(("realtime_delivered_total",), {})
            if sorted(delivered.values()) == [1, 1]:
                break
            await asyncio.sleep(0.1)
    assert list(found["realtime_connections",].values()) == [1, 1]
    assert sum(found["realtime_published_total",].values()) == 1
    assert list(found["realtime_refused_total", "rights"].values()) == [1]


async def test_a_process_that_ends_is_alive_and_not_ready(pair, open_client, sign):
    uvicorn = pair[1]
    client = await open_client(sign("bob"), url=uvicorn.ws_url)
    status, text = await asyncio.to_thread(get, uvicorn, "health/ready/")
    assert (status, json.loads(text)) == (200, {"status": "ready"})
    client.connection.transport.pause_reading()  # it does not answer the close
    uvicorn.process.popen.terminate()
    async with asyncio.timeout(SECONDS):
        while status == 200:
            status, text = await asyncio.to_thread(get, uvicorn, "health/ready/")
    assert (status, json.loads(text)) == (503, {"status": "draining"})
    assert (await asyncio.to_thread(get, uvicorn, "health/live/"))[0] == 200
    client.connection.transport.abort()
