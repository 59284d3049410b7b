"""Canaries in one worker: who gets the candidate, what is counted, and what stops it."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from makers import Document
from planes import Plane, opened
from served_models import TROUBLE, failing, not_a_number, scaled, slow
from tiltyard_api.base import canonical
from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.plan import PlanCanary
from tiltyard_api.routing import (
    CanaryRouting,
    GuardRouting,
    RoutingTable,
    ShadowRouting,
    SplitRouting,
    StepRouting,
)
from tiltyard_api.v1alpha1.stage import Guard, Latch
from tiltyard_core.draws import DRAW_SPACE, canary_ends, keyed_draw
from tiltyard_core.units import unpacked
from tiltyard_engine.canaries import CanaryCells, latched, report
from tiltyard_engine.tables import RoutingRefused, parse_table

SALT = "default/tested/swap"
OLD, NEW = scaled(1), scaled(2)
KEY = {"hashKey": {"field": "k"}}
ALPHA = 0.01 / 2 / 2 / 10
"""An engine's, with two guards and the ten stages of a linear ramp."""


def canary(**fields: object) -> Document:
    """Write the step: `old` is stable, `new` the candidate."""
    said = {"stable": "old", "candidate": "new", "ramp": {"steps": [{"weight": 50}]}, **fields}
    return {"name": "swap", "canary": said}


def stage(weight: float, *, run: str = "r", number: int = 1, **more: object) -> CanaryRouting:
    """Say what is in force."""
    margins = {Guard.ERRORS: 0.5, Guard.INVALID: 0.5}
    slow = more.pop("slow", None)
    if slow:
        margins[Guard.LATENCY] = 0.5
    guards = GuardRouting.model_validate({"alpha": ALPHA, "margins": margins, "slow": slow})
    fields = {"run": run, "stage": number, "weight": weight, "guards": guards, **more}
    return CanaryRouting.model_validate(fields)


def guarded(margins: dict[Guard, float], slow: float | None = None) -> CanaryRouting:
    """Say a stage with these guards and no other."""
    return stage(30, guards=GuardRouting(alpha=ALPHA, margins=margins, slow=slow))


def put(plane: Plane, routing: CanaryRouting) -> None:
    plane.served.route(plane.table_with(steps={"swap": routing}))


def cells(plane: Plane) -> list[CanaryCells]:
    (step,) = plane.plan.steps
    assert isinstance(step, PlanCanary)
    return [CanaryCells(one, "tested", step, 1) for one in plane.counters.blocks]


def counts(plane: Plane) -> CanaryCounts:
    found = report(cells(plane), plane.counters.incarnation)
    assert found is not None
    assert found.counts.incarnation == plane.counters.incarnation
    return found.counts


def latch(plane: Plane, run: str = "r") -> Latch | None:
    return latched(cells(plane), run)


def draws(units: Units) -> set[int]:
    found = set(unpacked(units.keys or ""))
    assert len(found) == units.count
    return found


def keyed(keys: Sequence[object], x: float = 1) -> list[Document]:
    return [{"x": x, "k": key} for key in keys]


def candidates(plane: Plane, keys: Sequence[object], x: float = 1) -> int:
    """Send a request for each key; gives how many the candidate got."""
    answers = [plane.ask([row]) for row in keyed(keys, x)]
    return sum("swap=new" in one.headers.get("X-Tiltyard-Variant", "") for one in answers)


def test_growing_the_share_moves_nobody_back_and_every_key_is_as_predicted(tmp_path: Path) -> None:
    keys = [f"user-{n}" for n in range(200)]
    before: set[str] = set()
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        for number, weight in enumerate([0, 0.5, 5, 12.5, 33.3, 50, 99.9, 100], 1):
            put(plane, stage(weight, number=number))
            out = plane.ask(keyed(keys)).out()
            exposed = {key for key, (y,) in zip(keys, out, strict=True) if y == 2}
            end = canary_ends(weight)[0]
            assert exposed == {key for key in keys if keyed_draw(SALT, key) < end}
            assert before <= exposed
            assert plane.count("tiltyard_variant_weight", "swap", "new") == weight * 1e7
            before = exposed
    assert exposed == set(keys)


def test_units_are_counted_once_by_variant_and_stage(tmp_path: Path) -> None:
    keys = [f"user-{n}" for n in range(50)]
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        put(plane, stage(30))
        for _ in range(3):
            plane.ask(keyed(keys))
            candidates(plane, keys[:10])
        found, end = counts(plane), canary_ends(30)[0]
        assert (found.keyed, found.level, found.stage) == (True, 0, "r-1")
        assert draws(found.candidate.units) == {d for d in map(hashed, keys) if d < end}
        assert draws(found.stable.units) == {d for d in map(hashed, keys) if d >= end}
        assert bad(found) == {}
        put(plane, stage(40, number=2))
        assert counts(plane).stage == "r-2"
        assert counts(plane).candidate.units.count == 0
        candidates(plane, keys[:5])
        assert sum(one.units.count for one in tallies(counts(plane))) == 5


def hashed(key: str) -> int:
    return keyed_draw(SALT, key)


def tallies(found: CanaryCounts) -> tuple[Tally, Tally]:
    return found.stable, found.candidate


def bad(found: CanaryCounts) -> dict[str, int]:
    """What bad units there are."""
    return {
        f"{role} {guard}": units.count
        for role, tally in (("stable", found.stable), ("candidate", found.candidate))
        for guard in Guard
        if (units := getattr(tally, guard)).count
    }


@pytest.mark.parametrize(
    ("headers", "rows"),
    [
        ({"X-Tiltyard-Variant": "swap=new"}, keyed(["a"])),
        ({"X-Tiltyard-Variant": "swap=old"}, keyed(["a"])),
        ({}, [{"x": TROUBLE}]),
        ({}, keyed(["a", None], TROUBLE)),
    ],
)
def test_pins_and_requests_without_a_key_stay_out_of_the_counts(
    tmp_path: Path, headers: dict[str, str], rows: list[Document]
) -> None:
    with opened(tmp_path, {"old": failing(), "new": failing(2)}, [canary(**KEY)]) as plane:
        put(plane, stage(50))
        for _ in range(40):
            plane.ask(rows, headers=headers)
        assert sum(one.units.count for one in tallies(counts(plane))) == 0
        assert (bad(counts(plane)), latch(plane)) == ({}, None)


@pytest.mark.parametrize(("weight", "most"), [(50, 40), (5, 12), (1, 12), (99, 40), (100, 40)])
@pytest.mark.parametrize("key", [KEY, {}], ids=["keys", "requests"])
def test_a_candidate_that_always_fails_is_soon_off_and_stays_off(
    tmp_path: Path, weight: float, most: int, key: Document
) -> None:
    chance = random.Random(7)
    models = {"old": scaled(1), "new": failing(2)}
    with opened(tmp_path, models, [canary(**key)]) as plane:
        put(plane, stage(weight))
        failed, sent = 0, 0
        while latch(plane) is None:
            user = str(chance.random())
            failed += plane.ask(keyed([user], TROUBLE)).status == 500
            sent += 1
            assert sent < 10_000
        assert failed <= most
        found = latch(plane)
        assert found
        assert (found.by, found.stage) == ("engine", "r-1")
        assert counts(plane).candidate.errors.count == failed
        assert candidates(plane, range(100), TROUBLE) == 0
        assert plane.count("tiltyard_variant_weight", "swap", "new") == 0
        assert counts(plane).candidate.errors.count == failed
        assert sum(one.units.count for one in tallies(counts(plane))) == sent, "counts have ended"
        pinned = plane.ask(keyed(["a"]), headers={"X-Tiltyard-Variant": "swap=new"})
        assert pinned.out() == [[2]]


def test_a_latch_holds_for_the_run_whatever_its_stage_and_goes_with_another(tmp_path: Path) -> None:
    keys = [f"user-{n}" for n in range(200)]
    with opened(tmp_path, {"old": OLD, "new": failing(2)}, [canary(**KEY)]) as plane:
        put(plane, stage(50))
        candidates(plane, keys, TROUBLE)
        assert latch(plane)
        put(plane, stage(100, number=2))
        assert candidates(plane, keys) == 0
        assert counts(plane).stage == "r-2"
        assert sum(one.units.count for one in tallies(counts(plane))) == 0
        put(plane, stage(50, run="s"))
        assert (latch(plane, "r") is not None, latch(plane, "s")) == (True, None)
        assert candidates(plane, keys) > 50
        put(plane, stage(50, run="r", number=3))
        assert candidates(plane, keys) == 0


def test_the_table_latches_as_well_and_lifts_it(tmp_path: Path) -> None:
    keys = [f"user-{n}" for n in range(100)]
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        put(plane, stage(50, latched=True))
        assert candidates(plane, keys) == 0
        assert sum(one.units.count for one in tallies(counts(plane))) == 0
        put(plane, stage(50))
        assert candidates(plane, keys) > 20


def test_one_noisy_user_is_one_unit_and_stops_nothing(tmp_path: Path) -> None:
    noisy = next(key for key in map(str, range(100)) if hashed(key) < DRAW_SPACE // 2)
    models = {"old": scaled(1), "new": failing(2)}
    with opened(tmp_path, models, [canary(**KEY)]) as plane:
        put(plane, stage(50))
        for _ in range(60):
            assert plane.ask(keyed([noisy], TROUBLE)).status == 500
        assert bad(counts(plane)) == {"candidate errors": 1}
        assert latch(plane) is None


def test_both_models_that_fail_alike_stop_nothing(tmp_path: Path) -> None:
    models = {"old": failing(), "new": failing(2)}
    with opened(tmp_path, models, [canary(**KEY)]) as plane:
        put(plane, stage(20))
        for n in range(400):
            assert plane.ask(keyed([f"user-{n}"], TROUBLE)).status == 500
        assert latch(plane) is None
        found = bad(counts(plane))
        assert 40 < found["candidate errors"] < 140
        assert sum(found.values()) == 400


def test_a_batch_that_fails_is_one_unit_the_first_whose_row_went_wrong(tmp_path: Path) -> None:
    keys = [f"user-{n}" for n in range(20)]
    end = canary_ends(50)[0]
    mine = [hashed(key) < end for key in keys]
    assert 5 < sum(mine) < 15
    models = {"old": scaled(1), "new": failing(2)}
    with opened(tmp_path, models, [canary(**KEY)]) as plane:
        put(plane, stage(50))
        rows = keyed(keys)
        rows[mine.index(False)]["x"] = TROUBLE
        plane.ask(rows).out()
        assert bad(counts(plane)) == {}
        rows[len(mine) - 1 - mine[::-1].index(True)]["x"] = TROUBLE
        assert plane.ask(rows).status == 500
        found = counts(plane)
        assert bad(found) == {"candidate errors": 1}
        assert draws(found.candidate.errors) == {hashed(keys[mine.index(True)])}
        assert sum(one.units.count for one in tallies(found)) == 20


@pytest.mark.parametrize(
    ("model", "guard"), [(not_a_number(2), Guard.INVALID), (slow(60_000, 2), Guard.LATENCY)]
)
def test_slow_and_invalid_answers_stop_a_candidate_too(
    tmp_path: Path, model: bytes, guard: Guard
) -> None:
    with opened(tmp_path, {"old": scaled(1), "new": model}, [canary(**KEY)]) as plane:
        put(plane, stage(50, slow=0.02))
        users = 0
        while latch(plane) is None:
            users += 1
            assert users < 200
            assert plane.ask(keyed([f"user-{users}"], TROUBLE)).status == 200
        found = latch(plane)
        assert found
        assert found.guard == guard
        assert bad(counts(plane)).keys() >= {f"candidate {guard}"}


def test_a_good_answer_ends_a_row(tmp_path: Path) -> None:
    with opened(tmp_path, {"old": scaled(1), "new": failing(2)}, [canary(**KEY)]) as plane:
        put(plane, stage(100))
        for n in range(90):
            plane.ask(keyed([f"user-{n}"], 1 if n % 15 == 14 else TROUBLE))
        assert bad(counts(plane)) == {"candidate errors": 84}
        assert latch(plane) is None
        for n in range(25):
            plane.ask(keyed([f"late-{n}"], TROUBLE))
        found = latch(plane)
        assert found
        assert found.guard == "row"


def test_the_sample_of_units_is_thinned_where_it_does_not_fit(tmp_path: Path) -> None:
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        put(plane, stage(25))
        keys = [f"user-{n}" for n in range(12_000)]
        for start in range(0, len(keys), 2000):
            plane.ask(keyed(keys[start : start + 2000])).out()
        found = counts(plane)
        assert found.level in (2, 3)
        units = {role: tally.units.count << found.level for role, tally in roles(found)}
        assert units["candidate"] == pytest.approx(3000, rel=0.15)
        assert units["stable"] == pytest.approx(9000, rel=0.15)
        end = canary_ends(25)[0]
        assert draws(found.candidate.units) <= {d for d in map(hashed, keys) if d < end}


def roles(found: CanaryCounts) -> list[tuple[str, Tally]]:
    return [("stable", found.stable), ("candidate", found.candidate)]


def test_the_longest_stage_there_may_be_has_its_place(tmp_path: Path) -> None:
    margins = dict.fromkeys(Guard, 1 / 3)
    guards = GuardRouting(alpha=1 / 7, margins=margins, slow=1 / 3)
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        longest = stage(100 / 3, run="r" * 48, number=10**9, guards=guards)
        put(plane, longest)
        assert cells(plane)[0].routing == longest
        assert counts(plane).stage == longest.stage_id


@pytest.mark.parametrize(
    "misfit",
    [
        SplitRouting(weights={"old": 1, "new": 1}),
        ShadowRouting(samples={"new": 1}),
        guarded({Guard.ERRORS: 0.5}),
        guarded({}),
        guarded({Guard.ERRORS: 0.5, Guard.INVALID: -0.5}),
        guarded({Guard.ERRORS: 0.5, Guard.INVALID: 0.5, Guard.LATENCY: 0.5}),
        guarded({Guard.ERRORS: 0.5, Guard.INVALID: 0.5}, slow=0.1),
    ],
    ids=str,
)
def test_a_table_that_does_not_fit_changes_neither_stage_nor_counts(
    tmp_path: Path, misfit: StepRouting
) -> None:
    with opened(tmp_path, {"old": OLD, "new": NEW}, [canary(**KEY)]) as plane:
        put(plane, stage(30))
        exposed = candidates(plane, range(50))
        before = counts(plane)
        with pytest.raises(RoutingRefused) as caught:
            plane.served.route(plane.table_with(steps={"swap": misfit}))
        assert caught.value.reason == "UnknownVariant"
        assert plane.count("tiltyard_routing_refused_total", "UnknownVariant") == 1
        assert counts(plane) == before
        assert candidates(plane, range(50)) == exposed
        older = plane.table_with(steps={"swap": stage(90, number=2)}, revision=1)
        with pytest.raises(RoutingRefused, match="revision 1 is not above 2"):
            plane.served.route(older)
        assert counts(plane) == before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"weight": 101}, "Malformed"),
        ({"weight": -1}, "Malformed"),
        ({"weight": "NaN"}, "Malformed"),
        ({"stage": -1}, "Malformed"),
        ({"stage": 10**10}, "Malformed"),
        ({"run": "r" * 49}, "Malformed"),
        ({"guards": {}}, "Malformed"),
        ({"guards": {"alpha": 0, "margins": {}}}, "Malformed"),
        ({"weight": 99}, "WrongHash"),
        ({"latched": True}, "WrongHash"),
        ({"surprise": 1}, "Malformed"),
    ],
    ids=str,
)
def test_a_damaged_stage_is_not_even_read(damage: dict[str, object], reason: str) -> None:
    steps: dict[str, StepRouting] = {"swap": stage(30)}
    table = RoutingTable(plan="p", pipeline_uid="u", revision=2, steps=steps).sealed()
    said = json.loads(canonical(table))
    assert parse_table(json.dumps(said).encode()) == table
    said["steps"]["swap"] |= damage
    with pytest.raises(RoutingRefused) as caught:
        parse_table(json.dumps(said).encode())
    assert caught.value.reason == reason
