"""What is kept of feedback stays below its bound, however many engines and weights there were."""

import random
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from feedback import ORIGIN, rates, stratum, sums
from ledgers import counted
from makers import make_document, make_resolved
from sights import NOW, decided, figures, serving
from tiltyard_api.evidence import CanaryCounts, CanaryLedger, Tally, Units
from tiltyard_api.experiment import MOST_STRATA, ExperimentSums
from tiltyard_api.experimentledger import MOST_GONE, ExperimentLedger, Heard
from tiltyard_api.figures import Histogram, VariantFigures
from tiltyard_api.packing import packed
from tiltyard_api.shadowledger import MOST_OVER, Figures, ShadowLedger
from tiltyard_api.v1alpha1.conditions import ConditionType
from tiltyard_core.counts import MOST_INCARNATIONS
from tiltyard_core.experiments.ledger import remember, total
from tiltyard_operator.desired.config import evidence_config, read_experiment
from tiltyard_operator.desired.metadata import Owner
from tiltyard_operator.findings import condition
from tiltyard_operator.room import MOST_BYTES, Fitted, fitted
from tiltyard_operator.status import Made, report

OWNER = Owner("Pipeline", "default", "prices", "u-1")
SHARES = {"old": 0.5, "new": 0.5}
ROUNDS, PODS = 30, 100


def heard(number: int, found: ExperimentSums) -> Heard:
    """Give what an engine says whose pod has a number."""
    named = found.model_copy(update={"incarnation": f"{number:032x}"})
    return Heard(pod=f"prices-{number:05}", sums=named)


def crowd(chance: random.Random, users: int, *weights: int) -> ExperimentSums:
    """Give sums of an engine that took feedback of users under some weights."""

    def some() -> list[tuple[int, float]]:
        return [(chance.getrandbits(64), chance.random()) for _ in range(users)]

    strata = [
        stratum(f"s-{one}", SHARES, {"old": some(), "new": some()}, clustered=True)
        for one in weights
    ]
    return sums(*strata, keyed=True)


def stored(ledger: ExperimentLedger) -> ExperimentLedger:
    """Write it down, and read it back."""
    found = read_experiment(evidence_config(OWNER, {}, ledger))
    assert found
    return found


def values(ledger: ExperimentLedger) -> int:
    found = total(ledger)
    return sum(many for many, _ in counted(found).values()) if found else 0


def pods_of(known: Iterable[Heard]) -> list[str]:
    return [one.pod for one in known]


def test_thousands_of_pods_that_are_gone_take_the_room_of_one() -> None:
    chance = random.Random(1)
    shapes = [crowd(chance, 20, 1, 2, 3) for _ in range(5)]
    ledger, sizes = None, []
    for turn in range(ROUNDS):
        now = [heard(PODS * turn + one, shapes[one % len(shapes)]) for one in range(PODS)]
        found = fitted(remember(ledger, "e", now, set()), set())
        assert found.unwritten == 0
        ledger = stored(found.ledger)
        sizes.append(len(packed(ledger)))
    assert ledger
    assert values(ledger) == ROUNDS * PODS * 3 * 2 * 20
    assert len(ledger.over) == MOST_GONE
    assert max(sizes) < MOST_BYTES / 4
    assert sizes[-1] < sizes[MOST_GONE // PODS] * 1.5, "sums of more are no longer"


def test_more_pods_at_once_than_names_are_remembered_count_once() -> None:
    one = crowd(random.Random(2), 2, 1)
    said = [heard(number, one) for number in range(MOST_GONE + 300)]
    ledger = None
    for _ in range(4):  # an operator remembers what it heard until it sees it written down
        over = ledger.over if ledger else ()
        said = [pod for pod in said if pod.sums.incarnation not in over]
        ledger = stored(remember(ledger, "e", said, set()))
    assert ledger
    assert values(ledger) == (MOST_GONE + 300) * 4
    assert ledger.known == ()


@pytest.fixture(scope="module")
def full() -> ExperimentLedger:
    """What 200 pods say, each more than the other can be read from."""
    chance = random.Random(3)
    return remember(
        None,
        "e",
        [heard(one, crowd(chance, 150, 1, 2)) for one in range(200)],
        {f"prices-{one:05}" for one in range(200)},
    )


def test_of_pods_that_there_are_as_many_are_written_as_there_is_room_for(
    full: ExperimentLedger,
) -> None:
    ending = {"prices-00150", "prices-00199"}
    found = fitted(full, ending)
    assert len(packed(found.ledger)) <= MOST_BYTES
    known = pods_of(found.ledger.known)
    assert set(known[:2]) == ending, "they say it for the last time"
    assert known[2:] == sorted(known[2:])
    assert found.unwritten == 200 - len(known) > 0
    assert f"{found.unwritten} pods" in found.shortage
    assert fitted(found.ledger, ending).ledger == found.ledger, "nothing to be written anew"


def test_pods_without_room_say_it_again_and_count_when_they_are_gone(
    full: ExperimentLedger,
) -> None:
    written = stored(fitted(full, set()).ledger)
    again = remember(written, "e", full.known, set(pods_of(full.known)))
    assert values(again) == values(full)
    gone = fitted(remember(written, "e", full.known, set()), set())
    assert (values(gone.ledger), gone.unwritten, gone.shortage) == (values(full), 0, "")


def aged(chance: random.Random, many: int) -> Iterator[ExperimentSums]:
    """Give engines, each of which knows newer weights than the one before it."""
    for age in range(many):
        found = crowd(chance, 1000, age)
        (one,) = found.strata
        since = ORIGIN.replace(year=ORIGIN.year + age)
        yield found.model_copy(update={"strata": (one.model_copy(update={"since": since}),)})


def test_the_oldest_weights_go_first_where_those_of_pods_that_are_gone_are_too_many() -> None:
    engines = list(aged(random.Random(4), 8))
    ledger = remember(None, "e", [heard(*one) for one in enumerate(engines)], set())
    most = len(packed(ledger)) // 2
    found = fitted(ledger, set(), most)
    assert found.ledger.gone
    kept = [one.id for one in found.ledger.gone.strata]
    assert 1 < len(kept) < 6
    assert kept == [f"s-{age}" for age in range(8)][-len(kept) :]
    assert found.ledger.dropped == 8 - len(kept)
    assert f"{8 - len(kept)} of the oldest sets of weights" in found.shortage
    assert len(packed(found.ledger)) <= most
    later = remember(stored(found.ledger), "e", [], set())
    assert fitted(later, set(), most).shortage == found.shortage, "it stays said"


def test_more_weights_than_there_may_be_are_said_too() -> None:
    few = {"old": (10, 1), "new": (10, 2)}
    found: Sequence[ExperimentSums] = [
        sums(rates(f"s-{one}", SHARES, few)) for one in range(MOST_STRATA + 3)
    ]
    ledger = remember(None, "e", [heard(*one) for one in enumerate(found)], set())
    assert (ledger.gone and len(ledger.gone.strata), ledger.dropped) == (MOST_STRATA, 3)


def test_a_status_says_what_there_is_no_room_for(full: ExperimentLedger) -> None:
    metrics = [{"name": "sold", "kind": "binary"}]
    document = make_document({"spec.experiment": {"metrics": metrics}})
    names = {"a": make_resolved(seed="a"), "b": make_resolved(seed="b")}
    facts = names | {"c": make_resolved("y float32[?,1] -> euro float32[?,1]")}
    seen, decision = decided(document, **serving(document, facts))
    collected = replace(decision.collected, fitted=Fitted(full, 7))
    status = report(seen, replace(decision, collected=collected), Made(seen.workload), NOW)
    found = condition(status.conditions, ConditionType.EXPERIMENT_CONCLUSIVE)
    assert found
    assert "no room for the sums of 7 pods" in found.message


def test_the_whole_object_is_within_what_an_api_server_takes(full: ExperimentLedger) -> None:
    """With the largest experiment, a canary of as many engines as are kept apart, and shadows."""
    chance = random.Random(5)

    def units() -> Units:
        return Units(count=chance.getrandbits(40))

    def tally() -> Tally:
        return Tally(units=units(), errors=units(), latency=units(), invalid=units())

    counts = [
        CanaryCounts(
            incarnation=f"{chance.getrandbits(128):032x}",
            stage="s" * 64,
            keyed=False,
            stable=tally(),
            candidate=tally(),
        )
        for _ in range(MOST_INCARNATIONS)
    ]

    def told() -> VariantFigures:
        bounds = tuple(10.0**power for power in range(-30, 34))
        histogram = Histogram(
            bounds=bounds,
            counts=tuple(chance.getrandbits(30) for _ in range(len(bounds) + 1)),
            sum=chance.random() * 1e6,
        )
        return figures(chance.getrandbits(30), seconds=histogram)

    some: Figures = {
        f"{step:040}": {f"{model:063}": told() for model in range(9)} for step in range(15)
    }
    names = tuple(f"{chance.getrandbits(256):063x}" for _ in range(MOST_OVER))
    shadows = ShadowLedger(plan="0" * 64, total=some, gone=some, over=names)
    canary = {"swap": CanaryLedger(stage="s" * 64, known=tuple(counts))}
    experiment = fitted(full, set()).ledger
    assert len(packed(experiment)) > 0.9 * MOST_BYTES
    found = evidence_config(OWNER, canary, experiment, shadows)
    binary = sum(len(b64decode(text)) for text in found["binaryData"].values())
    assert binary + sum(len(text) for text in found["data"].values()) < 1 << 20
