"""Feedback to `tiltyard serve`: whatever is killed and changed, sums are the client's ledger."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engines import Served, serving
from ledgers import Ledger, counted, post
from makers import Document
from manifests import bike_document, bike_record, write
from programs import descendants
from tiltyard_api.experiment import ExperimentSums
from waiting import await_that

pytestmark = pytest.mark.served

METRICS = [
    {"name": "error", "kind": "value", "better": "lower"},
    {"name": "kept", "kind": "binary"},
]


def document(weights: tuple[float, float]) -> Document:
    made = bike_document(weights, key="rider")
    made["spec"]["experiment"] = {"metrics": METRICS}
    return made


def sums(served: Served) -> ExperimentSums:
    (pipeline,) = served.status()["pipelines"]
    return ExperimentSums.model_validate(pipeline["experiment"])


def answers(served: Served, first: int, many: int = 40) -> Iterator[tuple[str, str]]:
    """Ask in the name of many riders; gives variant and id of each row."""
    records = [bike_record(rider=f"rider-{number}") for number in range(first, first + many)]
    for row in served.infer(records):
        yield row["metadata"]["variants"]["demand"], row["metadata"]["inference_id"]


def feedback(served: Served, ledger: Ledger, first: int) -> list[dict[str, Any]]:
    """Ask, and say what came of it; gives what was said."""
    said: list[dict[str, Any]] = []
    for number, (variant, name) in enumerate(answers(served, first)):
        pieces = [
            {"inferenceId": name, "metric": "error", "value": number / 8},
            {"inferenceId": name, "metric": "kept", "value": number % 2},
        ]
        ledger.send(served.url, variant, pieces)
        said += pieces
    return said


def supervisor_of(served: Served) -> int:
    """Find the root of the engine's processes, while it has children."""
    (found,) = (one for one in descendants(served.process.pid) if descendants(one))
    return found


def kill_children(supervisor: int) -> None:
    """Kill all workers and the management process at once."""
    for child in descendants(supervisor):
        with suppress(ProcessLookupError):  # it has died meanwhile
            os.kill(child, signal.SIGKILL)


def test_sums_are_the_clients_ledger_over_kills_new_weights_and_restarts(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", document((1, 1)))
    ledger = Ledger()
    with serving(manifest, "--watch", "--workers", "2", cache=tmp_path / "cache") as served:
        said = feedback(served, ledger, 0)
        kill_children(supervisor_of(served))
        await_that(lambda: ready(served))
        said += feedback(served, ledger, 100)
        write(manifest, document((3, 1)))
        await_that(lambda: any("in force" in one for one in served.notices))
        said += feedback(served, ledger, 200)
        told = sums(served)
        assert counted(told) == ledger.cells
        shares = [tuple(one.shares.values()) for one in told.strata]
        assert shares == [(0.5, 0.5), (0.75, 0.25)]
        assert set(ledger.statuses) <= {409}
    with serving(manifest, "--workers", "2", cache=tmp_path / "cache") as served:
        assert counted(sums(served)) == ledger.cells
        again = post(served.url, said)
        assert (again["accepted"], len(again["refused"])) == (0, len(said))
        assert {one["reason"] for one in again["refused"]} == {"Duplicate"}
        feedback(served, ledger, 300)
        assert counted(sums(served)) == ledger.cells


def test_a_worker_that_is_killed_while_it_counts_loses_nothing(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", document((1, 1)))
    ledger = Ledger()
    with serving(manifest, "--workers", "2", cache=tmp_path / "cache") as served:
        pieces: dict[str, list[dict[str, Any]]] = {"gb": [], "rf": []}
        for number, (variant, name) in enumerate(answers(served, 0, 2000)):
            pieces[variant].append({"inferenceId": name, "metric": "error", "value": number})
        killer = threading.Thread(target=kill_often, args=[supervisor_of(served)])
        killer.start()
        for variant, mine in pieces.items():
            for start in range(0, len(mine), 100):
                ledger.send(served.url, variant, mine[start : start + 100])
        killer.join()
        await_that(lambda: ready(served))
        assert counted(sums(served)) == ledger.cells


def kill_often(supervisor: int) -> None:
    for _ in range(3):
        kill_children(supervisor)
        time.sleep(0.15)  # so that some die while they count; nothing depends on which


def ready(served: Served) -> bool:
    try:
        return served.get("/readyz") == "ok\n"
    except OSError:
        return False
