"""`tiltyard logs` shows what `tiltyard serve` has recorded."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engines import EXAMPLES, TILTYARD, Served, serving
from tiltyard.logs import Target, find
from tiltyard.records import read
from tiltyard_api.recordfiles import DEFAULT_FOLDER
from waiting import await_that

pytestmark = pytest.mark.served

MANIFEST = EXAMPLES / "bike-demand/pipeline.yaml"
HELD_OUT = json.loads((EXAMPLES / "bike-demand/held-out.json").read_text())
ROWS = 30


@dataclass
class Laptop:
    """A folder in which something is served."""

    folder: Path
    served: Served
    ids: list[str]
    """Of the rows that were asked for before all tests, one by one."""


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    folder = tmp_path_factory.mktemp("laptop")
    with serving(MANIFEST, "--records", str(folder / ".tiltyard/records")) as engine:
        answers = [engine.infer([row])[0] for row in HELD_OUT[:ROWS]]
        written = re.compile(rf'tiltyard_records_total{{.*result="written".*}} {ROWS}\.0')
        await_that(lambda: written.search(engine.get("/metrics")) is not None, 100)
        yield Laptop(folder, engine, [one["metadata"]["inference_id"] for one in answers])


def wait_written(laptop: Laptop, inference_id: str) -> None:
    """Wait until a row can be read."""
    place = laptop.folder / ".tiltyard/records"
    read_one = partial(read, place, "bike-demand", inference_id=inference_id)
    await_that(lambda: read_one().num_rows == 1, 100)


def logs(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TILTYARD, "logs", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def shown(folder: Path, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logs(folder, *words, "-o", "json").stdout.splitlines()]


def test_rows_are_chosen_and_told_as_lines_of_json(laptop: Laptop) -> None:
    rows = shown(laptop.folder, "bike-demand")
    assert [row["metadata"]["inference_id"] for row in rows][:ROWS] == laptop.ids
    assert {name: rows[0]["in"][name] for name in ("hour", "rider")} == {
        name: HELD_OUT[0][name] for name in ("hour", "rider")
    }
    mine = [row for row in rows if row["metadata"]["variants"]["demand"] == "bike-gb"]
    chosen = ("--variant", "bike-gb", "--since", "1h", "--limit", "4")
    assert shown(laptop.folder, ".tiltyard/records", *chosen) == mine[-4:]


def test_a_table_is_for_people(laptop: Laptop) -> None:
    head, *lines = logs(laptop.folder, "bike-demand", "--limit", "2").stdout.splitlines()
    assert {"time", "in.hour", "in.rider", "served"} <= set(head.split())
    assert len(lines) == 2
    assert all("demand=bike-" in line for line in lines)


def test_what_comes_is_shown_once_until_it_is_ended(
    laptop: Laptop,
) -> None:
    known = laptop.served.infer(HELD_OUT[:1])[0]["metadata"]["inference_id"]
    wait_written(laptop, known)
    command = [TILTYARD, "logs", "bike-demand", "-f", "--limit", "1", "-o", "json"]
    with subprocess.Popen(command, cwd=laptop.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        assert first["metadata"]["inference_id"] == known
        sent = [laptop.served.infer([row])[0]["metadata"]["inference_id"] for row in HELD_OUT[:3]]
        found = [json.loads(process.stdout.readline()) for _ in sent]
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert [row["metadata"]["inference_id"] for row in found] == sent
    assert rest == ""


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("empty", "holds records of several Pipelines or none (there: none): name one"),
        ("stdout.yaml", "go to standard output: read the log of its engines"),
    ],
)
def test_what_cannot_be_shown_is_said(tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    text = MANIFEST.read_text() + "\n  records: {sink: {uri: 'stdout:'}}\n"
    (tmp_path / "stdout.yaml").write_text(text)
    done = logs(tmp_path, target)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_manifest_names_the_place_of_its_records(tmp_path: Path) -> None:
    assert find(str(MANIFEST)) == Target(DEFAULT_FOLDER, "bike-demand")
    (tmp_path / "kept.yaml").write_text(
        MANIFEST.read_text() + "\n  records: {sink: {uri: 's3://shop/records'}}\n"
    )
    assert find(str(tmp_path / "kept.yaml")) == Target("s3://shop/records", "bike-demand")
    assert find("s3://shop/records/bike-demand/") == Target("s3://shop/records", "bike-demand")
