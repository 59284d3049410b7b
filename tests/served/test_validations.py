"""Validations as users meet them: by `tiltyard serve`, over sockets, counted, watched, ended."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from engines import EXAMPLES, TILTYARD, Served, serving
from waiting import await_that

pytestmark = pytest.mark.served

BIKES = EXAMPLES / "bike-demand"
PATIENT = ("--validation-budget", "60s")
"""Of a machine that is busy nothing is to be said here."""

SUMMER = {
    "rider": "rider-17", "hour": 18, "month": 7, "weekday": 3, "workingday": 1, "holiday": 0,
    "weather": 1, "temperature": 0.76, "feels_like": 0.7121, "humidity": 0.5, "windspeed": 0.1343,
}  # fmt: skip
NIGHT = SUMMER | {"hour": 3, "month": 1}
APART = "inputs.temperature - inputs.feels_like > 0.04 && out.bikers.exists(b, b > 300.0)"
"""Not simple: arithmetic, and a loop."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, list[dict[str, str]]], Path]:
    """Writes the example with other validations, beside its models."""
    (tmp_path / "models").symlink_to(BIKES / "models")

    def written(name: str, validations: list[dict[str, str]]) -> Path:
        document = yaml.safe_load((BIKES / "validated.yaml").read_text())
        document["metadata"]["name"] = "bikes"
        document["spec"]["validations"] = validations
        file = tmp_path / name
        file.write_text(yaml.safe_dump(document))
        return file

    return written


def test_the_example_marks_what_looks_wrong() -> None:
    rows = json.loads((BIKES / "held-out.json").read_bytes())
    with serving(BIKES / "validated.yaml") as served:
        answer = served.infer(rows)
        found = {name: sum(row["anomaly"][name] for row in answer) for name in answer[0]["anomaly"]}
        total = found.pop("count")
        label = 'pipeline="bike-demand-validated",validation='
        wanted = {
            f'tiltyard_validation_failures_total{{{label}"{name}"}}': number
            for name, number in found.items()
        }
        await_that(lambda: {k: v for k, v in counts(served).items() if v} == non_zero(wanted))
    assert [row["anomaly"]["crowd"] for row in answer] == [
        row["out"]["bikers"][0] > 500 for row in answer
    ]
    assert list(found) == ["negative", "crowd", "crowd_in_the_cold"]
    assert found["crowd"] > 0
    assert total == sum(found.values())


def non_zero(numbers: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}


def counts(served: Served) -> dict[str, float]:
    lines = [line for line in served.get("/metrics").splitlines() if "_validation_" in line]
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_what_runs_apart_is_judged_killed_and_judged_again(
    write: Callable[[str, list[dict[str, str]]], Path],
) -> None:
    with serving(write("p.yaml", [{"name": "apart", "expression": APART}]), *PATIENT) as served:
        answer = served.infer([SUMMER, NIGHT])
        assert [row["anomaly"]["apart"] for row in answer] == [True, False]
        (evaluator,) = evaluators(served.process.pid)
        os.kill(evaluator, signal.SIGKILL)
        await_that(lambda: served.infer([SUMMER])[0]["anomaly"]["apart"] is True)
        (another,) = evaluators(served.process.pid)
        assert another != evaluator
        assert served.end() == 0
        await_that(lambda: not Path(f"/proc/{another}").exists())


def evaluators(ancestor: int) -> list[int]:
    """Processes below another that run expressions."""
    parents: dict[int, int] = {}
    named: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(status[1])
            if b"tiltyard_engine.validations.evaluator" in (folder / "cmdline").read_bytes():
                named.append(int(folder.name))

    def below(pid: int) -> bool:
        while pid in parents and pid != ancestor:
            pid = parents[pid]
        return pid == ancestor

    return list(filter(below, named))


def test_a_validation_of_nothing_stops_the_start_with_its_name_and_place(
    write: Callable[[str, list[dict[str, str]]], Path],
) -> None:
    for expression, said in (
        ("out.biker[0] > 1.0", "'bad': character 1: there is no out.biker: did you mean bikers?"),
        ("out.bikers[0] >", "'bad': character 16: Syntax error: mismatched input '<EOF>'"),
    ):
        file = write("bad.yaml", [{"name": "bad", "expression": expression}])
        done = subprocess.run(
            [TILTYARD, "serve", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert f"{file}: spec.validations[0].expression: {said}" in done.stderr
        assert "Traceback" not in done.stderr
