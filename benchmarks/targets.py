"""The targets that the engine was built to, and whether the measured figures meet them."""

from collections.abc import Callable
from dataclasses import dataclass

from results import Results
from shadow_latency import CHALLENGERS, P50_TARGET, P99_TARGET

Measure = Callable[[Results], float | None]
ENGINE = "tiltyard"


@dataclass(frozen=True)
class Target:
    """One promise: what is measured, and the bound that it must keep."""

    what: str
    measure: Measure
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    def met_by(self, value: float) -> bool:
        """Say whether a measured value keeps the promise."""
        high_enough = self.at_least is None or value >= self.at_least
        return high_enough and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}{self.unit}"
        return f"at most {self.at_most:g}{self.unit}"


def times_cheaper(case: str, than: str, who: str = ENGINE) -> Measure:
    """Measure how often the engine's processor time goes into that of a peer."""
    return lambda results: _divide(
        results.median(case, than, "cpu_us"), results.median(case, who, "cpu_us")
    )


def share_of_best(case: str, who: str) -> Measure:
    """Measure the engine's processor time as a share of the cheapest peer's in a case."""

    def measure(results: Results) -> float | None:
        peers = [name for name in results.servers(case) if not name.startswith(ENGINE)]
        costs = [results.median(case, name, "cpu_us") for name in peers]
        best = min((cost for cost in costs if cost is not None), default=None)
        return _divide(results.median(case, who, "cpu_us"), best)

    return measure


def figure(case: str, server: str, name: str, scale: float = 1) -> Measure:
    """Measure a median as it stands."""

    def measure(results: Results) -> float | None:
        value = results.median(case, server, name)
        return None if value is None else value * scale

    return measure


def in_turn(case: str, above: str, below: str, name: str) -> Measure:
    """Measure the median ratio of two that were loaded in turn."""
    return lambda results: results.ratio(case, above, below, name)


def added(case: str, above: str, below: str, name: str) -> Measure:
    """Measure the median difference of two that were measured in turn."""
    return lambda results: results.difference(case, above, below, name)


def second_worker(results: Results) -> float | None:
    """Measure what the second worker adds to the proportional memory of the engine."""
    one = results.median("start", "tiltyard-1-workers", "engine_pss_mb")
    two = results.median("start", "tiltyard-2-workers", "engine_pss_mb")
    return None if one is None or two is None else two - one


def _divide(above: float | None, below: float | None) -> float | None:
    """Divide, where both were measured."""
    return above / below if above is not None and below else None


def _one_row(kind: str) -> list[Target]:
    """Bound one row of a kind beside each peer."""
    case = f"{kind}-1"
    return [
        Target(
            f"{kind}, one row: cheaper than MLServer without workers",
            times_cheaper(case, "mlserver-no-workers"),
            at_least=15,
            unit=" times",
        ),
        Target(
            f"{kind}, one row: cheaper than MLServer as it comes",
            times_cheaper(case, "mlserver"),
            at_least=40,
            unit=" times",
        ),
        Target(
            f"{kind}, one row: cheaper than mosec with batching",
            times_cheaper(case, "mosec-batching"),
            at_least=1,
            unit=" times",
        ),
    ]


def _routing(pipeline: str, stacked: str) -> Target:
    """Bound what a routing step adds in process."""
    return Target(
        f"routing in process, {pipeline}{stacked}",
        added(
            "inside fraud-1",
            f"data plane, {pipeline}{stacked}",
            f"data plane, fraud{stacked}",
            "cpu_us",
        ),
        at_most=1,
        unit=" us",
    )


def _form(dialect: str, microseconds: int) -> list[Target]:
    """Bound a thousand rows in one form, alone and beside the best form of any peer."""
    case, who = "formats-1000", f"{ENGINE} {dialect}"
    return [
        Target(
            f"1000 rows as {dialect}: processor time",
            figure(case, who, "cpu_us"),
            at_most=microseconds,
            unit=" us",
        ),
        Target(
            f"1000 rows as {dialect}: share of the best peer's fastest form",
            share_of_best(case, who),
            at_most=0.5,
        ),
    ]


SHADOW = "shadow-cheap"
TARGETS = [
    *_one_row("fraud"),
    *_one_row("house"),
    Target(
        "fraud, one row: processor time, expected 20-30 us",
        figure("fraud-1", ENGINE, "cpu_us"),
        at_most=30,
        unit=" us",
    ),
    Target(
        "fraud, one row: data plane alone, 64 requests a turn",
        figure("inside fraud-1", "data plane, fraud, stacked", "cpu_us"),
        at_most=14,
        unit=" us",
    ),
    Target(
        "fraud, 1000 rows: processor time",
        figure("fraud-1000", ENGINE, "cpu_us", 1e-3),
        at_most=3,
        unit=" ms",
    ),
    Target(
        "fraud, 1000 rows: cheaper than MLServer without workers",
        times_cheaper("fraud-1000", "mlserver-no-workers"),
        at_least=1,
        unit=" times",
    ),
    Target(
        "fraud, 1000 rows, outputs only as peers answer: processor time",
        figure("fraud-1000", f"{ENGINE}-outputs", "cpu_us", 1e-3),
        at_most=3,
        unit=" ms",
    ),
    Target(
        "fraud, 1000 rows, outputs only: cheaper than MLServer without workers",
        times_cheaper("fraud-1000", "mlserver-no-workers", f"{ENGINE}-outputs"),
        at_least=1,
        unit=" times",
    ),
    *(_routing(name, how) for name in ("split", "split-by-key") for how in ("", ", stacked")),
    *(
        Target(
            f"{name} beside a single model: processor time",
            in_turn("split", name, "fraud", "cpu_us"),
            at_most=1.05,
            unit=" times",
        )
        for name in ("split", "split-by-key")
    ),
    Target(
        "shadow of a cheap model: share of throughput kept",
        in_turn(SHADOW, "shadow", "fraud", "rate"),
        at_least=0.9,
    ),
    Target(
        "shadow of a heavy model: share of throughput kept",
        in_turn("shadow-heavy", "heavy-shadow", "heavy", "rate"),
        at_least=0.95,
    ),
    Target(
        "hanging challenger: throughput beside one that answers (3 % is noise)",
        in_turn(SHADOW, "hanging-shadow", "shadow", "rate"),
        at_least=0.97,
    ),
    *(
        Target(
            f"{name} at 20 % load, a core to spare: {figure_name}",
            in_turn("latency", name, "fraud", f"{figure_name}_us"),
            at_most=bound,
            unit=" times",
        )
        for name in CHALLENGERS
        for figure_name, bound in (("p50", P50_TARGET), ("p99", P99_TARGET))
    ),
    Target(
        "start to first good answer, the example's models",
        figure("start", "tiltyard-1-workers", "start_seconds"),
        at_most=1.5,
        unit=" s",
    ),
    Target(
        "resident memory of the engine, the example's models",
        figure("start", "tiltyard-1-workers", "engine_pss_mb"),
        at_most=130,
        unit=" MB",
    ),
    Target(
        "second worker: proportional memory it adds",
        second_worker,
        at_most=15,
        unit=" MB",
    ),
    *_form("v2-binary", 250),
    *_form("arrow", 400),
    *_form("v2", 1200),
    *_form("records", 2500),
    Target(
        "one row as V2 beside records: processor time",
        in_turn("beside", "v2", "records", "cpu_us"),
        at_most=1.15,
        unit=" times",
    ),
    *(
        Target(
            f"one row over gRPC: cheaper than {who}",
            times_cheaper("grpc-1", who),
            at_least=3,
            unit=" times",
        )
        for who in ("mlserver-no-workers", "mlserver")
    ),
]
