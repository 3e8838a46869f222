"""The metrics of all processes, for Prometheus."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views import View

from ..conf import realtime_settings
from ..exceptions import LayerUnavailable
from ..layers import get_layer
from ..metrics import DEFINITIONS, SECONDS, Definition, Snapshot

if TYPE_CHECKING:
    from prometheus_client import Metric

IS_INSTALLED = find_spec("prometheus_client") is not None
PERMISSION = "realtime.view_connection"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MISSING = "Install prometheus-client: it is the extra `prometheus` of this package.\n"
_FORBIDDEN = (
    f"For users who are signed in to Django and have the permission {PERMISSION}, or with "
    "METRICS_TOKEN as a bearer token.\n"
)


class MetricsView(View):
    """GET: what all processes that serve connections have counted, as text for Prometheus."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not is_allowed(request):
            return _text(_FORBIDDEN, 403)
        if not IS_INSTALLED:
            return _text(_MISSING, 501)
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        try:
            registry.register(RoomsCollector())
            return _text(generate_latest(registry).decode(), 200)
        except LayerUnavailable as error:
            return _text(f"{error}\n", 503)


class RoomsCollector:
    """A collector of prometheus-client: a site can register it in a registry of its own."""

    def collect(self) -> Iterator[Metric]:
        """Raises `LayerUnavailable`."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        families: dict[str, Any] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        snapshots = read(get_layer().metrics_sync())
        for each in DEFINITIONS:
            labels = ["process", *filter(None, [each.label])]
            family = families[each.kind](f"realtime_{each.name}", each.help, labels=labels)
            for snapshot in snapshots:
                _add(family, each, snapshot)
            yield family


def is_allowed(request: HttpRequest) -> bool:
    """Return whether a request has the token for metrics, or is of somebody with the permission.

    Its address decides nothing: behind a proxy on the same machine everybody has a local one.
    """
    token: str = realtime_settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if token and secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    user: Any = getattr(request, "user", None)
    return user is not None and user.is_active and user.has_perm(PERMISSION)


def read(stored: Iterable[bytes]) -> list[Snapshot]:
    """Return the snapshots that can be read: a process may have another version of this app."""
    found = []
    for each in stored:
        try:
            found.append(msgspec.json.decode(each, type=Snapshot))
        except msgspec.MsgspecError:
            continue
    return found


def _add(family: Any, definition: Definition, snapshot: Snapshot) -> None:
    name, process = definition.name, snapshot.process
    if definition.kind == "histogram":
        buckets = snapshot.buckets.get(name, [])
        if len(buckets) == len(SECONDS) + 1:
            bounds = [*map(str, SECONDS), "+Inf"]
            summed = list(zip(bounds, accumulate(buckets), strict=True))
            family.add_metric([process], summed, snapshot.totals.get(name, 0))
    elif definition.label:
        for value, count in sorted(snapshot.labelled.get(name, {}).items()):
            family.add_metric([process, value], count)
    elif name in snapshot.values:
        family.add_metric([process], snapshot.values[name])


def _text(text: str, status: int) -> HttpResponse:
    answer = HttpResponse(text, status=status, content_type=_CONTENT_TYPE)
    answer["Cache-Control"] = "no-store"
    return answer
