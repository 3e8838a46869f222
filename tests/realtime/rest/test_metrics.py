"""The metrics of all processes as Prometheus reads them, and who may read them."""

import asyncio

import msgspec
import pytest
from django.contrib.auth.models import Permission
from prometheus_client.parser import text_string_to_metric_families

from realtime.exceptions import LayerUnavailable
from realtime.layers import get_layer
from realtime.metrics import DEFINITIONS, Metrics
from realtime.rest import metrics as endpoint

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/realtime/metrics/"
TOKEN = "a-token-of-the-scraper"


@pytest.fixture
def scrape(client, settings):
    """Read the metrics with the token, as `{(name, labels): value}`."""
    settings.REALTIME = {"METRICS_TOKEN": TOKEN}

    def _scrape():
        answer = client.get(ADDRESS, headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        families = text_string_to_metric_families(answer.content.decode())
        return {
            (sample.name, sample.labels.pop("process"), *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    return _scrape


@pytest.fixture
def two_processes():
    layer = get_layer()
    metrics = Metrics()
    metrics.delivered = 5
    metrics.closed["3008"] = 2
    metrics.right_seconds.observe(0.003)
    metrics.right_seconds.observe(60)
    gauges = {"connections": 2, "rooms": 1, "outbox_bytes": 7}

    async def write():
        for name in ("a:1", "b:2"):
            snapshot = msgspec.json.encode(metrics.snapshot(name, gauges))
            await layer.beat(name, b"{}", 60)
            await layer.write_metrics(name, snapshot, 60)
        await layer.beat("odd", b"{}", 60)
        await layer.write_metrics("odd", b'{"of": "another version"}', 60)

    async def remove():
        for name in ("a:1", "b:2", "odd"):
            await layer.beat(name, b"", 0)

    asyncio.run(write())
    yield
    asyncio.run(remove())


def test_each_process_has_its_own(scrape, two_processes):
    found = scrape()
    for process in ("a:1", "b:2"):
        assert found["realtime_connections", process] == 2
        assert found["realtime_delivered_total", process] == 5
        assert found["realtime_closed_total", process, "3008"] == 2
        assert found["realtime_right_seconds_bucket", process, "0.0025"] == 0
        assert found["realtime_right_seconds_bucket", process, "0.005"] == 1
        assert found["realtime_right_seconds_bucket", process, "+Inf"] == 2
        assert found["realtime_right_seconds_sum", process] == pytest.approx(60.003)
    names = {name for name, *_ in found}
    for each in DEFINITIONS:
        if not each.label:
            assert any(name.startswith(f"realtime_{each.name}") for name in names), each.name


def test_a_site_without_a_process_has_none(scrape):
    assert scrape() == {}


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Token {TOKEN}"])
def test_a_wrong_token_is_refused(client, settings, given):
    settings.REALTIME = {"METRICS_TOKEN": TOKEN}
    assert client.get(ADDRESS, headers={"Authorization": given}).status_code == 403


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer"])
def test_without_a_token_in_the_settings_none_is_right(client, given):
    assert client.get(ADDRESS, headers={"Authorization": given}).status_code == 403


def test_users_with_the_permission_may_read_them(client, alice):
    client.force_login(alice)
    assert client.get(ADDRESS).status_code == 403
    alice.user_permissions.add(Permission.objects.get(codename="view_connection"))
    assert client.get(ADDRESS).status_code == 200


def test_it_says_what_is_missing(client, settings, monkeypatch):
    settings.REALTIME = {"METRICS_TOKEN": TOKEN}
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def no_answer():
        raise LayerUnavailable("Redis does not answer")

    monkeypatch.setattr(get_layer(), "metrics_sync", no_answer)
    assert client.get(ADDRESS, headers=headers).status_code == 503
    monkeypatch.setattr(endpoint, "IS_INSTALLED", False)
    answer = client.get(ADDRESS, headers=headers)
    assert answer.status_code == 501
    assert b"it is the extra `prometheus` of this package" in answer.content
