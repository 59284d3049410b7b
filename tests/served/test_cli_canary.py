"""`tiltyard serve` with a canary: it ramps, rolls back, is edited, and goes on where it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import Served, serving
from makers import Document
from manifests import write
from programs import descendants
from served_models import TROUBLE, failing, scaled
from tiltyard_core.draws import canary_ends, keyed_draw
from waiting import eventually

pytestmark = pytest.mark.served

USERS = [f"user-{n}" for n in range(150)]
IN_FORCE = "in force, nothing restarted"
GUARDS = {"minUnits": 20}


def canary_document(ramp: Document, order: str = "", **guards: object) -> Document:
    """Write a Pipeline whose candidate fails on trouble."""
    models = [
        {"name": name, "framework": "onnx", "source": {"uri": f"file:{name}.onnx"}}
        for name in ("old", "new")
    ]
    canary = {
        "stable": "old",
        "candidate": "new",
        "hashKey": {"field": "user"},
        "ramp": ramp,
        "guards": {**GUARDS, **guards},
    }
    metadata: Document = {"name": "ramped"}
    if order:
        metadata["annotations"] = {"tiltyard.dev/canary": order}
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": metadata,
        "spec": {"models": models, "steps": [{"name": "swap", "canary": canary}]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old.onnx").write_bytes(scaled(1))
    (tmp_path / "new.onnx").write_bytes(failing(2))
    return tmp_path


def exposed(served: Served, x: float = 1) -> set[str]:
    """Send one row of each user; gives who got the candidate."""
    rows = served.infer([{"x": x, "user": user} for user in USERS])
    return {user for user, row in zip(USERS, rows, strict=True) if row["out"]["y"] != [x]}


def predicted(weight: float) -> set[str]:
    end = canary_ends(weight)[0]
    return {user for user in USERS if keyed_draw("default/ramped/swap", user) < end}


def canary(served: Served) -> Any:
    (pipeline,) = served.status()["pipelines"]
    return pipeline["steps"][0]["canary"]


def stage(served: Served) -> str:
    return str(canary(served)["counts"]["stage"])


def said(served: Served, text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in served.notices)


def fail_until_off(served: Served) -> None:
    for user in USERS:
        try:
            served.infer([{"x": TROUBLE, "user": user}])
        except OSError:  # an HTTPError: the candidate's answer
            continue
    assert canary(served)["latch"]["by"] == "engine"


def test_a_ramp_goes_on_by_itself_and_nobody_moves_back(folder: Path) -> None:
    ramp = {"steps": [{"weight": share, "hold": "1s"} for share in (5, 25, 60, 100)]}
    manifest = write(folder / "p.yaml", canary_document(ramp, minUnits=3))
    with serving(manifest, "--workers", "2", cache=folder / "cache") as served:
        processes = descendants(served.process.pid)
        seen = [exposed(served)]
        while len(seen[-1]) < len(USERS):
            seen.append(exposed(served))
            assert seen[-2] <= seen[-1]
        assert {len(one) for one in seen} == {len(predicted(w)) for w in (5, 25, 60, 100)}
        eventually(said(served, "ramped.swap: Complete: "))
        assert descendants(served.process.pid) == processes


def test_a_bad_candidate_stays_rolled_back_until_the_canary_is_another(folder: Path) -> None:
    ramp = {"steps": [{"weight": 50, "hold": "1h"}, {"weight": 100}]}
    manifest = write(folder / "p.yaml", canary_document(ramp))
    with serving(manifest, cache=folder / "cache") as served:
        assert exposed(served) == predicted(50)
        fail_until_off(served)
        eventually(said(served, "RolledBack: rolled back in stage"))
        assert exposed(served, TROUBLE) == set()
    with serving(manifest, "--watch", cache=folder / "cache") as served:
        assert exposed(served, TROUBLE) == set(), "also when it is served again"
        processes = descendants(served.process.pid)
        write(manifest, canary_document(ramp, errors={"margin": 1}))
        eventually(said(served, IN_FORCE))
        eventually(lambda: exposed(served) == predicted(50))
        assert descendants(served.process.pid) == processes


def test_people_promote_and_edit_while_nothing_restarts(folder: Path) -> None:
    ramp: Document = {"steps": [{"weight": 10}, {"weight": 30}, {"weight": 100}]}
    manifest = write(folder / "p.yaml", canary_document(ramp))
    with serving(manifest, "--watch", cache=folder / "cache") as served:
        processes = descendants(served.process.pid)
        assert exposed(served) == predicted(10)
        first = stage(served)
        write(manifest, canary_document(ramp, f"promote@{first}"))
        eventually(lambda: exposed(served) == predicted(30))
        second = stage(served)
        assert (first[-2:], second[-2:]) == ("-1", "-2")
        ramp["steps"][1]["weight"] = 45
        write(manifest, canary_document(ramp, f"promote@{first}"))
        eventually(lambda: exposed(served) == predicted(45))
        write(manifest, canary_document(ramp, f"abort@{stage(served)}"))
        eventually(lambda: exposed(served) == set())
        assert descendants(served.process.pid) == processes
    with serving(manifest, cache=folder / "cache") as served:
        assert exposed(served) == set()


def test_a_ramp_that_is_served_again_goes_on_where_it_was(folder: Path) -> None:
    ramp = {"steps": [{"weight": 10}, {"weight": 40}, {"weight": 100}]}
    manifest = write(folder / "p.yaml", canary_document(ramp))
    with serving(manifest, "--watch", cache=folder / "cache") as served:
        write(manifest, canary_document(ramp, f"promote@{stage(served)}"))
        eventually(lambda: exposed(served) == predicted(40))
        before = stage(served)
    with serving(manifest, cache=folder / "cache") as served:
        assert stage(served) == before
        assert exposed(served) == predicted(40)
