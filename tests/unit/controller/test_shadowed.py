"""What is kept of challengers: every pod counts once, those that are gone too."""

from collections.abc import Mapping
from dataclasses import replace

from makers import Document, make_document, make_resolved
from sights import NOW, decided, figures, serving
from tiltyard_api.figures import Confusion, VariantFigures
from tiltyard_api.shadowledger import ShadowLedger, read_shadows
from tiltyard_operator.decide import Decision
from tiltyard_operator.desired.config import evidence_config
from tiltyard_operator.observed import Answer, Observed, Unwritten
from tiltyard_operator.pods import Pod
from tiltyard_operator.reading import tried
from tiltyard_operator.shadows import Shadowed, collect, to_be_stored

SHADOW = {"champion": "a", "challengers": [{"model": "b"}], "outputs": "log"}
STEPS = [{"name": "price", "shadow": SHADOW}, {"name": "convert", "model": "c"}]
DOCUMENT = make_document({"spec.steps": STEPS})
FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
Said = Mapping[str, int]
"""How many requests each pod has seen."""


def situation(document: Document = DOCUMENT) -> tuple[Observed, Decision]:
    return decided(document, **serving(document, FACTS))


def challenged(requests: int) -> VariantFigures:
    rows = Confusion(both_above=requests, both_below=0, false_negatives=0, false_positives=1)
    return figures(requests, compared=requests, matched=requests - 1, confusion=rows)


def heard(
    said: Said, before: tuple[Observed, Shadowed] | None = None, *, ending: str = ""
) -> tuple[Observed, Shadowed]:
    """Look at pods, after an earlier look."""
    seen, decision = situation()
    assert decision.target
    plan = decision.target.bundle.plan_hash
    pod = seen.pods[0]
    answers = {
        name: Answer(
            plan,
            variants={("price", "a"): figures(many), ("price", "b"): challenged(many)}
            | {("convert", "c"): figures(many)},
        )
        for name, many in said.items()
    }
    now = replace(seen, pods=tuple(named(pod, one, ending == one) for one in said), said=answers)
    if before:
        unwritten = Unwritten(spoke=before[1].heard)
        now = replace(now, unwritten=unwritten, shadows=before[0].shadows)
    return now, collect(now, decision.target.bundle)


def named(pod: Pod, name: str, ending: bool) -> Pod:  # noqa: FBT001 - a field of it
    return replace(pod, name=name, ending=ending)


def written(look: tuple[Observed, Shadowed]) -> tuple[Observed, Shadowed]:
    """Write down what is known, and read it back."""
    seen, found = look
    assert found.ledger
    kept = read_shadows(evidence_config(seen.owner, {}, None, found.ledger))
    assert kept == found.ledger
    return replace(seen, shadows=kept), found


def compared(look: tuple[Observed, Shadowed]) -> int | None:
    ledger = look[1].ledger
    assert ledger
    return ledger.total["price"]["b"].compared


def test_all_pods_are_added_up_and_nothing_but_shadows_is_kept() -> None:
    _, found = heard({"p-1": 10, "p-2": 30})
    assert found.ledger
    assert set(found.ledger.total) == {"price"}
    one = found.ledger.total["price"]["b"]
    assert (one.requests, one.compared, one.matched) == (40, 40, 38)
    assert one.confusion == Confusion(
        both_above=40, both_below=0, false_negatives=0, false_positives=2
    )
    assert sum(one.seconds.counts) == 40
    assert found.ledger.total["price"]["a"].compared is None


def test_a_pod_that_is_gone_counts_on_and_once() -> None:
    look = written(heard({"p-1": 10, "p-2": 30}))
    look = heard({"p-2": 31, "p-3": 5}, look)
    assert compared(look) == 46
    again = heard({"p-2": 31, "p-3": 5}, look)
    assert compared(again) == 46, "it was not written down: it is remembered"
    kept = heard({"p-2": 31, "p-3": 6}, written(again))
    assert compared(kept) == 47
    assert "p-1" not in kept[1].heard, "now it need not be"


def test_an_operator_that_starts_anew_goes_on_with_what_is_written() -> None:
    look = written(heard({"p-2": 31}, written(heard({"p-1": 10, "p-2": 30}))))
    fresh = replace(look[0], unwritten=Unwritten()), Shadowed()
    assert compared(heard({"p-2": 32}, fresh)) == 42


def test_another_plan_begins_anew() -> None:
    seen, found = heard({"p-1": 10})
    assert found.ledger
    old = ShadowLedger(plan="0" * 64, total=found.ledger.total, gone=found.ledger.total)
    _, decision = situation()
    assert decision.target
    again = collect(replace(seen, shadows=old), decision.target.bundle)
    assert again.ledger == found.ledger


def test_it_is_written_once_a_minute_at_once_where_a_pod_goes_and_not_at_rest() -> None:
    seen, found = heard({"p-1": 10})
    assert to_be_stored(seen, found, NOW)
    kept, _ = written((replace(seen, kept_at=NOW), found))
    assert not to_be_stored(kept, found, NOW + 999), "nothing is new"
    more = heard({"p-1": 11}, (kept, found))
    assert [to_be_stored(replace(more[0], kept_at=NOW), more[1], NOW + at) for at in (5, 60)] == [
        False,
        True,
    ]
    ends = heard({"p-1": 11}, (kept, found), ending="p-1")
    assert to_be_stored(replace(ends[0], kept_at=NOW), ends[1], NOW + 5)


def test_a_pipeline_without_shadows_keeps_nothing_of_them() -> None:
    seen, decision = situation(make_document())
    assert decision.target
    assert collect(seen, decision.target.bundle).ledger is None
    assert not tried(make_document())
    assert tried(DOCUMENT)
    assert tried({"status": {"steps": [{"name": "price", "kind": "shadow"}]}}), "it just was"
