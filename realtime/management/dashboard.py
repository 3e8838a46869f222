"""A dashboard of Grafana for the metrics of this app, made from their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..metrics import DEFINITIONS, Definition

SOURCE = {"type": "prometheus", "uid": "${source}"}
PANELS_A_ROW = 3
WIDTH, HEIGHT = 24 // PANELS_A_ROW, 8
QUANTILES = (0.5, 0.9, 0.99)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it: a panel for each metric, in their order."""
    return {
        "title": "Realtime",
        "uid": "django-realtime",
        "tags": ["django", "realtime"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": [_panel(number, each) for number, each in enumerate(DEFINITIONS)],
    }


def queries(definition: Definition) -> Iterator[tuple[str, str]]:
    """The queries of a metric, and what each line is called."""
    name = f"realtime_{definition.name}"
    if definition.kind == "gauge":
        yield f"sum by (process) ({name})", "{{process}}"
    elif definition.kind == "histogram":
        for quantile in QUANTILES:
            rates = f"sum by (le) (rate({name}_bucket[$__rate_interval]))"
            yield f"histogram_quantile({quantile}, {rates})", f"{quantile * 100:g} % below"
    elif definition.label:
        label = definition.label
        yield (
            f"sum by ({label}) (rate({name}_total[$__rate_interval]))",
            "{{" + label + "}}",
        )
    else:
        yield f"sum(rate({name}_total[$__rate_interval]))", "all processes"


def _panel(number: int, definition: Definition) -> dict[str, Any]:
    row, column = divmod(number, PANELS_A_ROW)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": _title(definition),
        "description": definition.help,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": _unit(definition), "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries(definition))
        ],
    }


def _title(definition: Definition) -> str:
    words = definition.name.removesuffix("_seconds").replace("_", " ").capitalize()
    per = {"counter": " a second", "histogram": ": time"}.get(definition.kind, "")
    by = f", by {definition.label}" if definition.label else ""
    return f"{words}{per}{by}"


def _unit(definition: Definition) -> str:
    if definition.kind == "histogram":
        return "s"
    if definition.name.endswith("_bytes"):
        return "bytes"
    return "cps" if definition.kind == "counter" else "short"
