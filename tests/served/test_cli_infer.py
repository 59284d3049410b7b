"""`tiltyard infer` against a real engine, and against none."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from engines import Served, serving
from manifests import bike_document, bike_record, write
from programs import tiltyard

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    document = bike_document((1, 0))
    with serving(write(tmp_path_factory.mktemp("infer") / "p.yaml", document)) as served:
        yield served


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([bike_record(hour=8), bike_record(hour=20)]), encoding="utf-8")
    return path


def test_a_table_shows_what_came_out_and_who_served_it(served: Served, records: Path) -> None:
    run = tiltyard("infer", "bikes", "--data", records, "--url", served.url)
    assert (run.returncode, run.stderr) == (0, "")
    head, *rows = run.stdout.splitlines()
    assert head.split() == ["row", "out.bikers", "served", "by"]
    assert [row.split()[0] for row in rows] == ["0", "1"]
    assert all(row.split()[-1] == "demand=gb" for row in rows)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_json_and_yaml_hold_the_whole_answer(served: Served, records: Path, form: str) -> None:
    run = tiltyard("infer", "bikes", "--data", records, "--url", served.url, "-o", form)
    answer = json.loads(run.stdout) if form == "json" else yaml.safe_load(run.stdout)
    assert [row["in"]["hour"] for row in answer] == [8, 20]
    assert all(row["metadata"]["inference_id"] for row in answer)


def test_one_record_from_standard_input_will_do(served: Served) -> None:
    run = tiltyard(
        *("infer", "bikes", "--data", "-", "--url", served.url + "/", "-o", "json"),
        data=json.dumps(bike_record()),
    )
    assert len(json.loads(run.stdout)) == 1


REFUSED = {
    "[]": "EmptyBatch",
    '[{"hour": 1}]': "MissingColumn (field ",
    json.dumps([bike_record(hour="eight")]): "WrongType (field hour, row 0): ",
}


@pytest.mark.parametrize("data", REFUSED)
def test_a_refusal_shows_reason_place_and_message(served: Served, data: str) -> None:
    run = tiltyard("infer", "bikes", "--data", "-", "--url", served.url, data=data)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(REFUSED[data])
    assert line.endswith("[HTTP 400]")


def test_an_unknown_pipeline_is_told_with_those_there_are(served: Served) -> None:
    run = tiltyard("infer", "trains", "--data", "-", "--url", served.url, data="[]")
    assert run.stderr.startswith("UnknownPipeline: no Pipeline 'trains' here (there: bikes)")


def test_without_an_engine_it_says_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = "http://{}:{}".format(*probe.getsockname())
    run = tiltyard("infer", "bikes", "--data", "-", "--url", url, data="[]")
    assert run.returncode == 1
    assert run.stderr == f"nothing answers at {url}: start one with tiltyard serve FILE\n"


def test_the_wrong_port_is_told(served: Served) -> None:
    run = tiltyard("infer", "bikes", "--data", "-", "--url", served.management_url, data="[]")
    assert run.returncode == 1
    assert run.stderr.startswith("UnknownPath")


@pytest.mark.parametrize("url", ["engine:", "ftp://127.0.0.1", "http://[::1"])
def test_what_is_no_address_is_told(url: str) -> None:
    run = tiltyard("infer", "bikes", "--data", "-", "--url", url, data="[]")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith(url)
