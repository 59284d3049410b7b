"""A bad candidate is stopped though nobody is there to say so, and told of when somebody is."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_condition, await_ready, condition
from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import ControlPlane, running
from faultproxy import faults
from ground import Ground, ground
from pods import engines
from tried import CANDIDATE, STABLE, STEP, step_of, tried, users
from waiting import await_that

Object = dict[str, Any]

NOTHING = [{"weight": 0}]
"""A ramp on which the candidate gets nothing: from it the next one begins at its beginning."""

MOST_FAILED = 40
"""Units that a candidate which always fails may have of one engine at a share of one half."""

pytestmark = pytest.mark.timeout(600)


def latched(pod: Object) -> bool:
    """Whether an engine has stopped the candidate by itself."""
    with urllib3.PoolManager(retries=False) as pool:
        said = pool.request("GET", f"http://{pod['status']['podIP']}:9090/status", timeout=20)
    (pipeline,) = said.json()["pipelines"]
    return any(one["canary"]["latch"] for one in pipeline["steps"] if one["name"] == STEP)


def in_force(operated: Ground) -> bool:
    return "since" in step_of(operated.pipeline(NAME)).get("stage", {})


def test_engines_stop_a_bad_candidate_while_operator_and_api_server_are_gone(
    binaries: Binaries, tmp_path: Path
) -> None:
    with running(tmp_path / "plane", binaries) as processes:
        install_crds(processes.plane)
        with ground(processes.plane, "alone", tmp_path / "ground") as operated:
            operated.kubectl.apply(tried(tmp_path, [{"weight": 50, "hold": "10h"}]))
            await_ready(operated.kubectl)
            await_that(lambda: in_force(operated), 60)
            pods = engines(operated.kubectl)
            operated.down()
            processes.stop_part("kube-apiserver")
            with users(pods, troubled=True) as asking:
                await_that(lambda: all(map(latched, pods)), 60)
                failed, answered = len(asking.of(CANDIDATE)), len(asking.answers)
                await_that(lambda: len(asking.answers) > answered + 200, 60)
                assert len(asking.of(CANDIDATE)) == failed
            for pod in pods:
                name = pod["metadata"]["name"]
                assert sum(one.pod == name for one in asking.of(CANDIDATE)) <= MOST_FAILED
            assert {one.status for one in asking.of(STABLE)} == {200}
            processes.start_part("kube-apiserver")
            operated.up()
            found = await_condition(operated.kubectl, "Stalled", "True", "RolledBack")
            assert condition(found, "Available")["status"] == "True"
            latch = step_of(found)["latched"]
            assert latch["by"] == "engine"
            assert latch["pod"] in {pod["metadata"]["name"] for pod in pods}
            assert latch["message"] in condition(found, "Ready")["message"]
            with users(pods, troubled=True) as asking:
                await_that(lambda: len(asking.answers) > 200, 60)
            assert asking.of(CANDIDATE) == []


@dataclass
class Seen:
    """A ramp as its status told it."""

    numbers: list[int] = field(default_factory=list)
    entered: list[datetime] = field(default_factory=list)

    def note(self, pipeline: Object) -> None:
        stage = step_of(pipeline).get("stage")
        if stage and (not self.numbers or self.numbers[-1] != stage["number"]):
            self.numbers.append(stage["number"])
            self.entered.append(datetime.fromisoformat(stage["entered"]))

    def assert_whole(self, stages: int, hold: float) -> None:
        """Insist that no stage was left out, come back to, or cut short."""
        assert self.numbers == list(range(1, stages + 1))
        gaps = [(after - before).total_seconds() for before, after in pairwise(self.entered)]
        assert min(gaps) >= hold


def ramp(hold: str) -> list[Object]:
    return [{"weight": weight, "hold": hold} for weight in (10, 40, 70, 100)]


def complete(pipeline: Object, run: str) -> bool:
    stage = step_of(pipeline).get("stage", {})
    current = pipeline["status"]["observedGeneration"] == pipeline["metadata"]["generation"]
    return bool(current and stage.get("complete") and not stage["id"].startswith(run))


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param([2, 6], id="some"),
        pytest.param(list(range(1, 20)), id="all", marks=pytest.mark.full),
    ],
)
@pytest.mark.timeout(3600)
def test_a_ramp_is_whole_whenever_the_operator_dies(
    control_plane: ControlPlane, tmp_path: Path, writes: list[int]
) -> None:
    name = f"ramp-{secrets.token_hex(4)}"
    deaths = (faults.before, faults.after)
    with ground(control_plane, name, tmp_path / "ground") as operated:
        operated.kubectl.apply(tried(tmp_path, NOTHING))
        await_ready(operated.kubectl)
        generation = operated.kubectl.get("deployment", NAME)["metadata"]["generation"]
        with users(engines(operated.kubectl)) as asking:
            for number, write in enumerate(writes):
                seen, starts = Seen(), operated.starts
                if number:
                    operated.kubectl.apply(tried(tmp_path, NOTHING))
                    await_that(lambda: weight_of(operated) == 0, 60)
                run = step_of(operated.pipeline(NAME))["stage"]["id"].partition("-")[0]
                operated.proxy.at_write(write, deaths[number % 2](operated.kill))
                operated.kubectl.apply(tried(tmp_path, ramp(f"{1000 + number}ms")))
                await_that(lambda: noted(operated, seen, run), 120)  # noqa: B023 - called at once
                seen.assert_whole(4, 1.0)
                assert operated.starts - starts == (not operated.proxy.pending)
                operated.proxy.forget()
        assert {one.status for one in asking.answers} == {200}
        after = operated.kubectl.get("deployment", NAME)["metadata"]["generation"]
        assert after == generation


def weight_of(operated: Ground) -> float:
    return float(step_of(operated.pipeline(NAME))["stage"]["weight"])


def noted(operated: Ground, seen: Seen, run: str) -> bool:
    pipeline = operated.pipeline(NAME)
    if not step_of(pipeline)["stage"]["id"].startswith(run):
        seen.note(pipeline)
    return complete(pipeline, run)
