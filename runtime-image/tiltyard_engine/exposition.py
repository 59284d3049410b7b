"""Turns the counter file into what Prometheus reads."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tiltyard_api.plan import Plan, PlanCanary
from tiltyard_engine.canaries import every_canary, strongest
from tiltyard_engine.counters import BUCKETS, CounterFile, Series
from tiltyard_engine.metrics import EVIDENCE, METRICS, PARTS_PER_UNIT, WATCH_REFUSED
from tiltyard_engine.metrics import Metric as Definition

_BOUNDS = [*map(str, BUCKETS), "+Inf"]


class CounterCollector(Collector):
    """Adds up the blocks of all workers at each scrape."""

    def __init__(self, counters: CounterFile, plans: Sequence[Plan]) -> None:
        self._counters = counters
        self._plans = plans
        self._series: dict[str, list[Series]] = {name: [] for name in METRICS}
        for series in counters.layout:
            if series.metric in self._series:
                self._series[series.metric].append(series)
        self._canaries = every_canary(plans, counters)
        self._series[EVIDENCE] = [
            Series(EVIDENCE, (plan.pipeline, step.name, step.candidate))
            for plan in plans
            for step in plan.steps
            if isinstance(step, PlanCanary)
        ]

    def collect(self) -> Iterator[Metric]:
        """Every metric family."""
        for name, definition in METRICS.items():
            yield self._family(name, definition)
        yield self._model_info()
        build = GaugeMetricFamily(
            "tiltyard_build_info", "Version of the engine.", labels=["version"]
        )
        build.add_metric([version("tiltyard")], 1)
        yield build

    def _family(self, name: str, definition: Definition) -> Metric:
        labels = list(definition.labels)
        match definition.kind:
            case "counter":
                counter = CounterMetricFamily(name, definition.help, labels=labels)
                for series in self._series[name]:
                    counter.add_metric(series.labels, self.counter(series))
                return counter
            case "histogram":
                histogram = HistogramMetricFamily(name, definition.help, labels=labels)
                for series in self._series[name]:
                    value = self._counters.total_histogram(series)
                    buckets = list(zip(_BOUNDS, value.cumulative, strict=True))
                    histogram.add_metric(series.labels, buckets, value.sum)
                return histogram
            case _:
                gauge = GaugeMetricFamily(name, definition.help, labels=labels)
                for series in self._series[name]:
                    gauge.add_metric(series.labels, self.gauge(series))
                return gauge

    def counter(self, series: Series) -> int:
        """A counter over all workers; each of them refuses the same table, which is one refusal."""
        if series.metric == "tiltyard_routing_refused_total":
            blocks = self._counters.blocks
            watched = blocks[0].read(Series(WATCH_REFUSED, series.labels))
            return watched + max(block.read(series) for block in blocks)
        return self._counters.total(series)

    def gauge(self, series: Series) -> float:
        """A gauge over all workers: in flight they add up, else the one furthest behind counts."""
        if series.metric == EVIDENCE:
            return strongest(self._canaries[series.labels[0], series.labels[1]])
        values = [block.read(series) for block in self._counters.blocks]
        match series.metric:
            case "tiltyard_in_flight_requests":
                return sum(values)
            case "tiltyard_variant_weight":
                return values[0] / PARTS_PER_UNIT
            case "tiltyard_routing_watch_up":
                return values[0]
            case _:
                return min(values)

    def _model_info(self) -> Metric:
        info = GaugeMetricFamily(
            "tiltyard_model_info",
            "Models that are loaded.",
            labels=["model", "framework", "digest"],
        )
        models = {(m.name, str(m.framework), m.digest) for plan in self._plans for m in plan.models}
        for labels in sorted(models):
            info.add_metric(labels, 1)
        return info


def registry(counters: CounterFile, plans: Sequence[Plan]) -> CollectorRegistry:
    """Registry that holds the engine's metrics and nothing else."""
    made = CollectorRegistry(auto_describe=False)
    made.register(CounterCollector(counters, plans))
    return made
