"""What a status says of an experiment, by the feedback that engines took."""

import random
from dataclasses import replace

from feedback import divided, stratum, sums
from makers import make_document, make_resolved
from sights import NOW, decided, serving
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.experimentledger import ExperimentLedger
from tiltyard_api.v1alpha1.conditions import ConditionType
from tiltyard_api.v1alpha1.status import Condition, PipelineStatus
from tiltyard_api.v1alpha1.verdict import Verdict
from tiltyard_operator.estimates import Estimates
from tiltyard_operator.feedback import Collected
from tiltyard_operator.findings import condition
from tiltyard_operator.kinds import PIPELINE
from tiltyard_operator.metrics import REGISTRY
from tiltyard_operator.queue import Key
from tiltyard_operator.status import Made, report, worth_writing

METRICS = [{"name": "sold", "kind": "binary"}]
DOCUMENT = make_document({"spec.experiment": {"metrics": METRICS, "minUnits": 100}})
FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def feedback(rates: tuple[float, float], units: int = 6000) -> ExperimentSums:
    found = divided(random.Random(1), units, 1 / 3, rates)
    shares = {"a": 2 / 3, "b": 1 / 3}
    return sums(stratum("s", shares, {"a": found["old"], "b": found["new"]}))


def told(
    found: ExperimentSums | None,
    before: PipelineStatus | None = None,
    now: float = NOW,
    document: object = DOCUMENT,
) -> PipelineStatus:
    assert isinstance(document, dict)
    seen, decision = decided(document, **serving(document, FACTS))
    seen = replace(seen, previous=before or PipelineStatus())
    ledger = ExperimentLedger(id="e", gone=found) if found else None
    decision = replace(decision, collected=Collected(ledger))
    return report(seen, decision, Made(seen.workload), now)


def says(status: PipelineStatus) -> Condition:
    found = condition(status.conditions, ConditionType.EXPERIMENT_CONCLUSIVE)
    assert found
    return found


def verdict(status: PipelineStatus) -> Verdict:
    (found,) = [one.verdict for one in status.steps or () if one.verdict]
    return found


def test_a_verdict_is_a_condition_and_stands_at_its_step() -> None:
    status = told(feedback((0.1, 0.2)))
    found = says(status)
    assert (found.status, found.reason) == ("True", "VariantBetter")
    assert found.message.startswith("price: b is better than a on 'sold'")
    assert verdict(status).best == "b"
    assert [one.name for one in status.steps or () if one.verdict] == ["price"]


def test_the_first_variant_may_be_the_best() -> None:
    found = says(told(feedback((0.2, 0.1))))
    assert (found.status, found.reason) == ("True", "ControlBest")


def test_no_verdict_yet_too_little_and_nothing_at_all_are_told_apart() -> None:
    open_, few, none = (
        says(told(one)) for one in (feedback((0.1, 0.1)), feedback((0.1, 0.9), units=60), None)
    )
    assert (open_.status, open_.reason) == ("False", "NoVerdict")
    assert (few.status, few.reason) == ("Unknown", "InsufficientData")
    assert (none.status, none.reason) == ("Unknown", "InsufficientData")


def test_a_broken_split_is_told() -> None:
    found = divided(random.Random(2), 6000, 1 / 2, (0.1, 0.2))
    broken = stratum("s", {"a": 2 / 3, "b": 1 / 3}, {"a": found["old"], "b": found["new"]})
    said = says(told(sums(broken)))
    assert (said.status, said.reason) == ("False", "SampleRatioMismatch")


def test_a_pipeline_without_an_experiment_says_nothing_of_one() -> None:
    status = told(None, document=make_document())
    assert condition(status.conditions, ConditionType.EXPERIMENT_CONCLUSIVE) is None
    assert not any(one.verdict for one in status.steps or ())


def test_readiness_does_not_depend_on_a_verdict() -> None:
    for found in (None, feedback((0.1, 0.2))):
        ready = condition(told(found).conditions, ConditionType.READY)
        assert ready
        assert ready.status == "True"


def test_the_way_to_a_verdict_is_kept() -> None:
    first = told(feedback((0.1, 0.12), 3000))
    second = told(feedback((0.1, 0.12), 6000), first, NOW + 60)
    (row,) = verdict(second).comparisons or ()
    assert [one.units for one in row.history or ()] == [3000, 6000]


def test_figures_alone_are_written_once_a_minute_and_a_verdict_at_once() -> None:
    first = told(feedback((0.1, 0.1), 3000))
    more = told(feedback((0.1, 0.1), 3600), first, NOW + 5)
    assert not worth_writing(first, more, NOW + 5)
    assert worth_writing(first, more, NOW + 61)
    decided_now = told(feedback((0.1, 0.2)), first, NOW + 5)
    assert worth_writing(first, decided_now, NOW + 5)


def series(pipeline: str) -> dict[str, float]:
    """What Prometheus is told of a Pipeline's experiment, by the name of the series."""
    return {
        sample.name.removeprefix("tiltyard_operator_experiment_"): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.labels.get("pipeline") == pipeline
        and sample.labels | {"pipeline": ""}
        == {
            "pipeline_namespace": "shop",
            "pipeline": "",
            "step": "price",
            "metric": "sold",
            "variant": "b",
        }
    }


def test_prometheus_is_told_the_figures_of_the_verdict_until_the_experiment_goes() -> None:
    estimates, key, other = Estimates(), Key(PIPELINE, "shop", "told"), Key(PIPELINE, "shop", "2")
    first, second = (verdict(told(feedback(rates))) for rates in ((0.1, 0.1), (0.1, 0.2)))
    estimates.note(other, {"price": first})
    for shown in (first, second):
        estimates.note(key, {"price": shown})
        (row,) = shown.comparisons or ()
        assert series("told") == {
            "estimate": row.estimate,
            "estimate_low": row.low,
            "estimate_high": row.high,
            "p": row.p,
        }
    estimates.note(key)
    assert series("told") == {}
    assert len(series("2")) == 4
    estimates.note(other)
    assert series("2") == {}


def test_prometheus_is_told_nothing_that_nobody_may_act_on() -> None:
    estimates, key = Estimates(), Key(PIPELINE, "shop", "blocked")
    shares = {"a": 2 / 3, "b": 1 / 3}
    found = divided(random.Random(2), 6000, 1 / 2, (0.1, 0.2))
    uneven = sums(stratum("s", shares, {"a": found["old"], "b": found["new"]}))
    for judged in (feedback((0.1, 0.9), units=60), uneven):
        estimates.note(key, {"price": verdict(told(feedback((0.1, 0.2))))})
        assert series("blocked")
        shown = verdict(told(judged))
        assert all(row.estimate is not None for row in shown.comparisons or ())
        estimates.note(key, {"price": shown})
        assert series("blocked") == {}
