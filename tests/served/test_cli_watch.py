"""`tiltyard serve --watch`: changes under load, without a request lost."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from engines import Served, serving
from makers import Document
from manifests import bike_document, bike_model, bike_record, write
from pressure import pressure
from programs import descendants
from waiting import await_that

pytestmark = pytest.mark.served

RECORDS = [bike_record()]
KEPT = "not in force: what ran keeps running\n"


def variant(served: Served) -> str:
    (row,) = served.infer(RECORDS)
    return str(row["metadata"]["variants"]["demand"])


def told(served: Served, text: str) -> bool:
    return any(text in line for line in served.notices)


def test_fifty_weight_changes_restart_nothing_and_lose_nothing(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document((1, 0)))
    with serving(manifest, "--watch", "--workers", "2") as served:
        processes = descendants(served.process.pid)
        took = []
        with pressure(served.url, "/infer", RECORDS) as load:
            for number in range(50):
                wanted = ("rf", "gb")[number % 2]
                write(manifest, bike_document((0, 1) if wanted == "rf" else (1, 0)))
                begun = time.monotonic()
                await_that(lambda: variant(served) == wanted)  # noqa: B023 - called at once
                took.append(time.monotonic() - begun)
        assert load.lost == []
        assert load.answered > 500
        assert descendants(served.process.pid) == processes
        assert sorted(took)[25] < 5.0, "in force long before a new engine would be"
        await_that(lambda: told(served, "in force, nothing restarted"))
        (pipeline,) = served.status()["pipelines"]
        assert pipeline["routing"]["revision"] == 51


def test_a_new_plan_takes_over_without_a_lost_request(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document())
    with serving(manifest, "--watch", "--workers", "2") as served:

        def all_new(before: set[int]) -> bool:
            assert served.get("/readyz") == "ok\n", "never anything else"
            return not before & descendants(served.process.pid)

        with pressure(served.url, "/infer", RECORDS) as load:
            for key in ("rider", "user"):
                before = descendants(served.process.pid)
                write(manifest, bike_document(key=key))
                await_that(partial(all_new, before))
        assert load.lost == []
        assert len(load.versions) == 3
        assert len(descendants(served.process.pid)) == 4


def test_a_worker_that_is_started_again_has_the_weights_in_force(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document((1, 0)))
    with serving(manifest, "--watch") as served:
        write(manifest, bike_document((0, 1)))
        await_that(lambda: told(served, "in force, nothing restarted"))
        (supervisor,) = (one for one in descendants(served.process.pid) if descendants(one))
        for child in descendants(supervisor):
            os.kill(child, signal.SIGKILL)
        await_that(lambda: told(served, "started again"))
        assert variant(served) == "rf"


SPOILT: dict[str, Callable[[Document], object]] = {
    "spec.steps[0]: says nothing to do": lambda spec: spec["steps"][0].pop("split"),
    "bikes is suspended": lambda spec: spec.update(suspend=True),
    "spec.models[0].source: model 'gb': file:gone.onnx: No such file": (
        lambda spec: spec["models"].__setitem__(0, bike_model("gb", "file:gone.onnx"))
    ),
}


def test_what_cannot_be_served_is_told_and_what_ran_keeps_running(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document((1, 0)))
    with serving(manifest, "--watch") as served:
        processes = descendants(served.process.pid)
        for count, (fault, spoil) in enumerate(SPOILT.items(), 1):
            spoilt = bike_document((0, 1))
            spoil(spoilt["spec"])
            write(manifest, spoilt)
            await_that(lambda: served.notices.count(KEPT) == count)  # noqa: B023 - called at once
            assert told(served, fault)
            assert variant(served) == "gb"
        write(manifest, bike_document((0, 1)))
        await_that(lambda: variant(served) == "rf")
        assert descendants(served.process.pid) == processes
