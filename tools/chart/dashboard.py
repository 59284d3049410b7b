"""The Grafana dashboard: a row of panels for each question that people ask."""

import json
from dataclasses import dataclass
from typing import Any

_OF = 'namespace=~"$namespace",pipeline=~"$pipeline"'
_BY = "namespace, pipeline"
_VARIANT = f"{_BY}, step, variant"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24


@dataclass(frozen=True)
class Panel:
    """A graph: what it is called, what it counts in, and its queries by their legends."""

    title: str
    unit: str
    queries: dict[str, str]
    least: float | None = 0
    """Where the axis begins; None: where the values do, as they may be negative."""


def _rate(metric: str, labels: str = "") -> str:
    return f"rate({metric}{{{_OF}{labels}}}[$__rate_interval])"


def _share(part: str, whole: str, by: str) -> str:
    return f"sum by ({by}) ({part}) / sum by ({by}) ({whole})"


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) ({_rate(metric + '_bucket')}))"


_NAME, _NAMES = "{{pipeline}}", "{{pipeline}} {{step}} {{variant}}"
_RECONCILES = "rate(tiltyard_operator_reconciles_total[$__rate_interval])"
_WRITES = "rate(tiltyard_operator_writes_total[$__rate_interval])"
_COMPARED = "pipeline_namespace, pipeline, step, metric, variant"
_SYNC = "rate(tiltyard_operator_routing_sync_seconds_bucket[$__rate_interval])"

ROWS: dict[str, list[Panel]] = {
    "Are requests answered?": [
        Panel(
            "Requests",
            "reqps",
            {_NAME + " {{code}}": f"sum by ({_BY}, code) ({_rate('tiltyard_requests_total')})"},
        ),
        Panel(
            "Failed share",
            "percentunit",
            {
                _NAME: _share(
                    _rate("tiltyard_requests_total", ',code=~"424|5.."'),
                    _rate("tiltyard_requests_total"),
                    _BY,
                )
                + f" or sum by ({_BY}) ({_rate('tiltyard_requests_total')}) * 0"
            },
        ),
        Panel(
            "Time to the answer",
            "s",
            {
                f"{_NAME} p{share * 100:g}": _quantile(share, "tiltyard_request_seconds", _BY)
                for share in (0.5, 0.99)
            },
        ),
        Panel("Rows", "short", {_NAME: f"sum by ({_BY}) ({_rate('tiltyard_rows_total')})"}),
        Panel(
            "Requests that wait",
            "short",
            {
                "{{namespace}} {{pod}}": "sum by (namespace, pod)"
                ' (tiltyard_in_flight_requests{namespace=~"$namespace"})'
            },
        ),
        Panel(
            "Loaded models",
            "short",
            {
                "{{namespace}} {{model}} {{digest}}": "count by (namespace, model, digest)"
                ' (tiltyard_model_info{namespace=~"$namespace"})'
            },
        ),
    ],
    "Which variant is better?": [
        Panel(
            "Share of requests",
            "percentunit",
            {
                _NAMES: f"sum by ({_VARIANT}) ({_rate('tiltyard_variant_requests_total')})"
                f" / ignoring(variant) group_left sum by ({_BY}, step)"
                f" ({_rate('tiltyard_variant_requests_total')})"
            },
        ),
        Panel(
            "Share that is meant",
            "percentunit",
            {_NAMES: f"avg by ({_VARIANT}) (tiltyard_variant_weight{{{_OF}}})"},
        ),
        Panel(
            "Failed share of its own requests",
            "percentunit",
            {
                _NAMES: _share(
                    _rate("tiltyard_variant_errors_total"),
                    _rate("tiltyard_variant_requests_total"),
                    _VARIANT,
                )
            },
        ),
        Panel(
            "Time of the model, p99",
            "s",
            {_NAMES: _quantile(0.99, "tiltyard_variant_seconds", _VARIANT)},
        ),
        Panel(
            "Challengers that agree with the champion",
            "percentunit",
            {
                _NAMES: _share(
                    _rate("tiltyard_shadow_compared_total", ',result="match"'),
                    _rate("tiltyard_shadow_compared_total"),
                    _VARIANT,
                )
            },
        ),
        Panel(
            "Difference to the control, with its interval",
            "none",
            {
                f"{_NAME} {{{{metric}}}} {{{{variant}}}} {word}": f"max by ({_COMPARED})"
                f' ({metric}{{pipeline_namespace=~"$namespace",pipeline=~"$pipeline"}})'
                for word, metric in (
                    ("is", "tiltyard_operator_experiment_estimate"),
                    ("from", "tiltyard_operator_experiment_estimate_low"),
                    ("to", "tiltyard_operator_experiment_estimate_high"),
                )
            },
            least=None,
        ),
        Panel(
            "Requests that challengers missed",
            "reqps",
            {
                _NAMES + " {{reason}}": f"sum by ({_VARIANT}, reason)"
                f" ({_rate('tiltyard_shadow_dropped_total')})"
            },
        ),
    ],
    "Do new weights arrive?": [
        Panel(
            "Routing table",
            "none",
            {_NAME + " {{pod}}": f"tiltyard_routing_revision{{{_OF}}}"},
        ),
        Panel(
            "Watches that are up",
            "short",
            {_NAME: f"sum by ({_BY}) (tiltyard_routing_watch_up{{{_OF}}})"},
        ),
        Panel(
            "Until every pod uses them, p95",
            "s",
            {"{{namespace}}": f"histogram_quantile(0.95, sum by (namespace, le) ({_SYNC}))"},
        ),
    ],
    "Does the operator keep up?": [
        Panel("Pipelines", "short", {"{{phase}}": "sum by (phase) (tiltyard_operator_pipelines)"}),
        Panel(
            "Looks at objects",
            "ops",
            {"{{kind}} {{result}}": f"sum by (kind, result) ({_RECONCILES})"},
        ),
        Panel(
            "Objects that wait",
            "short",
            {"{{namespace}}": "sum by (namespace) (tiltyard_operator_queue_depth)"},
        ),
        Panel("Writes", "ops", {"{{kind}} {{verb}}": f"sum by (kind, verb) ({_WRITES})"}),
    ],
}


def dashboard() -> bytes:
    """Write the dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append(_placed({"type": "row", "title": title}, len(panels), (0, y), (24, 1)))
        y += 1
        for number, panel in enumerate(row):
            below, right = divmod(number, _COLUMNS // _WIDTH)
            at = right * _WIDTH, y + below * _HEIGHT
            panels.append(_placed(_graph(panel), len(panels), at, (_WIDTH, _HEIGHT)))
        y += -(-len(row) * _WIDTH // _COLUMNS) * _HEIGHT
    whole = {
        "uid": "tiltyard",
        "title": "Tiltyard",
        "tags": ["tiltyard"],
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [_datasource(), _variable("namespace"), _variable("pipeline")]},
        "panels": panels,
    }
    return (json.dumps(whole, indent=1) + "\n").encode()


def _placed(
    panel: dict[str, Any], number: int, at: tuple[int, int], size: tuple[int, int]
) -> dict[str, Any]:
    place = dict(zip("xywh", (*at, *size), strict=True))
    return {"id": number + 1, "gridPos": place, **panel}


def _graph(panel: Panel) -> dict[str, Any]:
    defaults = {"unit": panel.unit} | ({} if panel.least is None else {"min": panel.least})
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "legendFormat": legend, "expr": query}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus"}


def _variable(label: str) -> dict[str, Any]:
    within = '{namespace=~"$namespace"}' if label == "pipeline" else ""
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values(tiltyard_routing_revision{within}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }
