"""`manage.py realtime dashboard`: Grafana can import it, and each query is one of Prometheus."""

import json
from io import StringIO

import promql_parser
import pytest
from django.core.management import call_command
from prometheus_client.parser import text_string_to_metric_families

from realtime.authentication import Identity
from realtime.layers import get_layer
from realtime.management import dashboard
from realtime.metrics import DEFINITIONS, metrics
from tests.support.sessions import call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub_layer():
    """That of the endpoint."""
    return get_layer()


@pytest.fixture
def printed():
    output = StringIO()
    call_command("realtime", "dashboard", stdout=output)
    return json.loads(output.getvalue())


def queries_of(found):
    return [target["expr"] for panel in found["panels"] for target in panel["targets"]]


def names_in(expression):
    """The metrics that a parsed query reads."""
    if isinstance(expression, promql_parser.VectorSelector):
        return {expression.name}
    inner = [getattr(expression, name, None) for name in ("expr", "vector_selector", "lhs", "rhs")]
    inner += getattr(expression, "args", None) or []
    return {name for each in inner if each is not None for name in names_in(each)}


def test_there_is_a_panel_for_each_metric(printed):
    assert [panel["description"] for panel in printed["panels"]] == [
        each.help for each in DEFINITIONS
    ]
    ids = [panel["id"] for panel in printed["panels"]]
    assert len(set(ids)) == len(ids) and all(panel["title"] for panel in printed["panels"])


def test_no_panel_lies_over_another(printed):
    squares = [
        (x, y)
        for panel in printed["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(squares)) == len(squares) and max(x for x, _ in squares) < 24


async def test_each_query_reads_what_the_endpoint_has(
    printed, open_session, node, alice, lobby, async_client, settings
):
    settings.REALTIME = {**settings.REALTIME, "METRICS_TOKEN": "for-tests"}
    session = open_session(Identity(alice))
    await call(session, connect={})
    await call(session, subscribe={"channel": "nowhere"})
    for each in DEFINITIONS:
        if each.label:
            getattr(metrics, each.name)["some"] += 1
    await node.registry._write_metrics()
    headers = {"Authorization": "Bearer for-tests"}
    answer = await async_client.get("/realtime/metrics/", headers=headers)
    assert answer.status_code == 200, answer.content
    families = text_string_to_metric_families(answer.content.decode())
    known = {sample.name for family in families for sample in family.samples}
    for query in queries_of(printed):
        parsed = promql_parser.parse(query.replace("$__rate_interval", "5m"))
        named = names_in(parsed)
        assert named and named <= known, query


def test_a_query_that_is_wrong_would_be_found():
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum by (process (realtime_rooms)")


def test_titles_are_words():
    titles = {each.name: dashboard._title(each) for each in DEFINITIONS}
    assert titles["closed"] == "Closed a second, by code"
    assert titles["lag_seconds"] == "Lag: time"
