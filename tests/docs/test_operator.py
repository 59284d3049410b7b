"""What docs/operator.md says of settings, metrics and times is what the code does."""

import pytest
from prometheus_client import Metric

from documents import ROOT, prose, table
from tiltyard_operator import face, lease, probe, process, queue, settings
from tiltyard_operator.answers import LONGEST_WAIT
from tiltyard_operator.cluster import Bounds
from tiltyard_operator.metrics import REGISTRY

PAGE = "docs/operator.md"
NOTHING_SAID = {
    "TILTYARD_NAMESPACES": "all",
    "TILTYARD_RESOLVE_PULL_SECRETS": "none",
    "TILTYARD_FETCH_ADDRESSES": "none",
}
TEXT = " ".join(prose(ROOT / PAGE).split())


def test_every_setting_is_documented_with_its_default() -> None:
    rows = table(PAGE, "variable", "default", "what it does")
    assert {name: default for name, default, _ in rows} == {
        name: {None: "required", "": NOTHING_SAID.get(name)}.get(variable.default, variable.default)
        for name, variable in settings.VARIABLES.items()
    }


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    rows = table(PAGE, "metric", "type", "labels", "what")

    def shown(metric: Metric) -> tuple[str, str]:
        total = "_total" if metric.type == "counter" else ""
        return metric.name + total, metric.type

    assert {(name, kind) for name, kind, *_ in rows} == {shown(one) for one in REGISTRY.collect()}
    labels = {
        name: ", ".join(collector._labelnames) or "none"
        for collector, names in REGISTRY._collector_to_names.items()
        for name in names
    }
    assert [name for name, _, said, _ in rows if labels[name] != said] == []


@pytest.mark.parametrize(
    "sentence",
    [
        f"renewed every {lease.RENEW_EVERY:.0f} seconds",
        f"renewed the Lease within {lease.HELD_FOR:.0f} seconds",
        f"may take it after {lease.DURATION}",
        f"Lease `{lease.NAME}`",
        f"at most {process.GRACE:.0f} seconds",
        f"{Bounds().silence:.0f} seconds without a byte, {Bounds().total:.0f} in all",
        f"after {queue.FIRST_PAUSE} seconds and then twice as long each time",
        f"up to {queue.LONGEST_PAUSE:.0f}; where the server says",
    ],
)
def test_times_are_those_of_the_code(sentence: str) -> None:
    assert sentence in TEXT


def test_times_in_words_are_those_of_the_code() -> None:
    assert face.SEEN_WITHIN == 3 * 60
    assert LONGEST_WAIT == 2 * 60
    assert int(settings.VARIABLES["TILTYARD_LISTEN"].default or "") == probe.MANAGEMENT_PORT
