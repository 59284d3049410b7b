"""The committed examples are what their record says, and answer as well as it says."""

import hashlib
import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml

from python_models import PATIENCE, kept, made
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.models import ModelEntry

EXAMPLES = Path(__file__).parents[3] / "examples"
RECORD = json.loads((EXAMPLES / "build.json").read_text())
NAMES = sorted(RECORD["examples"])
FILES = [(name, file) for name in NAMES for file in RECORD["examples"][name]["files"]]
MODELS = [(name, file) for name, file in FILES if file.startswith("models/")]
APART = {name for name in NAMES if "packages" in RECORD["examples"][name]}
"""Made in environments of their own."""

GRAPHS = [(name, file) for name, file in MODELS if file.endswith(".onnx")]
OF_ROWS = [(name, file) for name, file in GRAPHS if name != "labels"]
"""Graphs that take any number of rows at once."""

LARGEST = 300_000
PRODUCTS = shutil.ignore_patterns("*.onnx", "*.zip", "*.json", "*.jpg")

Array = np.ndarray[Any, Any]


def quality(name: str) -> Any:
    return RECORD["examples"][name]["quality"]


def held_out(name: str) -> tuple[list[dict[str, Any]], Array]:
    folder = EXAMPLES / name
    rows = json.loads((folder / "held-out.json").read_text())
    return rows, np.array(json.loads((folder / "truth.json").read_text()))


def entries(name: str) -> dict[str, dict[str, Any]]:
    manifest = yaml.safe_load((EXAMPLES / name / "pipeline.yaml").read_text())
    assert manifest["metadata"]["name"] == name
    return {entry["name"]: entry for entry in manifest["spec"]["models"]}


def session(name: str, model: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = EXAMPLES / name / "models" / f"{model}.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(name: str, model: str, tensor: Array) -> dict[str, Array]:
    """The model's answer to one tensor, under the names that the manifest gives its outputs."""
    loaded = session(name, model)
    graph_names = [output.name for output in loaded.get_outputs()]
    (asked,) = loaded.get_inputs()
    answers = dict(zip(graph_names, loaded.run(None, {asked.name: tensor}), strict=True))
    declared = entries(name)[model].get("outputs")
    if declared is None:
        return answers
    return {output["name"]: answers[output.get("from", output["name"])] for output in declared}


@pytest.mark.parametrize(("name", "file"), FILES)
def test_files_are_those_of_the_record(name: str, file: str) -> None:
    content = (EXAMPLES / name / file).read_bytes()
    recorded = RECORD["examples"][name]["files"][file]
    assert recorded == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_nothing_is_committed_beside_the_record() -> None:
    models = {(f.parts[-3], f"models/{f.name}") for f in EXAMPLES.glob("*/models/*")}
    assert models == set(MODELS)


def test_record_names_the_locked_versions() -> None:
    lock = (EXAMPLES / "requirements.txt").read_text().splitlines()
    for package, recorded in RECORD["packages"].items():
        assert f"{package}=={recorded} \\" in lock


def test_models_were_made_for_the_onnxruntime_that_serves_them() -> None:
    assert RECORD["packages"]["onnxruntime"] == version("onnxruntime")


@pytest.mark.parametrize(("name", "file"), MODELS)
def test_models_are_small(name: str, file: str) -> None:
    assert (EXAMPLES / name / file).stat().st_size < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_manifests_pin_every_model(name: str) -> None:
    sources = [entry["source"] for entry in entries(name).values()]
    pinned = {source["uri"].removeprefix("file:"): source["sha256"] for source in sources}
    files = RECORD["examples"][name]["files"]
    assert pinned == {f: files[f]["sha256"] for f in files if f.startswith("models/")}


@pytest.mark.parametrize(("name", "file"), OF_ROWS)
def test_graphs_have_the_declared_signature_and_free_rows(name: str, file: str) -> None:
    model = Path(file).stem
    loaded = session(name, model)
    graph = {"inputs": loaded.get_inputs(), "outputs": loaded.get_outputs()}
    for values in graph.values():
        assert all(value.shape[0] == "rows" for value in values)
        assert all(isinstance(length, int) for value in values for length in value.shape[1:])
    for side, values in graph.items():
        lengths = {value.name: value.shape[1:] for value in values}
        for declared in entries(name)[model].get(side, []):
            assert lengths[declared.get("from", declared["name"])] == declared["shape"]
            assert len(declared.get("columns", [])) in (0, *declared["shape"])


@pytest.mark.parametrize(("name", "file"), GRAPHS)
def test_graphs_tell_nothing_but_the_model(name: str, file: str) -> None:
    model = onnx.load(EXAMPLES / name / file)
    assert model.graph.name == Path(file).stem
    assert model.producer_name == "tiltyard-examples"
    assert all(opset.version <= 17 for opset in model.opset_import)


@pytest.mark.parametrize("model", ["bike-gb", "bike-rf"])
def test_bike_models_err_as_little_as_recorded(model: str) -> None:
    rows, bikers = held_out("bike-demand")
    (declared,) = entries("bike-demand")[model]["inputs"]
    features = np.array([[row[c] for c in declared["columns"]] for row in rows], np.float32)
    answer = run("bike-demand", model, features)["bikers"]
    assert answer.shape == (len(bikers), 1)
    error = np.abs(answer[:, 0] - bikers).mean()
    recorded = quality("bike-demand")
    assert error == pytest.approx(recorded[model]["mean absolute error"], rel=1e-3)
    assert error < recorded["always the mean"]["mean absolute error"] / 3


def test_every_held_out_hour_has_a_rider() -> None:
    rows, bikers = held_out("bike-demand")
    assert len(rows) == len(bikers)
    assert len({row["rider"] for row in rows}) > 800
    assert all(row.keys() == rows[0].keys() for row in rows)


@pytest.mark.parametrize("model", ["events-gb", "events-mlp", "events-logistic"])
def test_event_models_find_the_recorded_anomalies(model: str) -> None:
    rows, anomaly = held_out("rare-events")
    readings = np.array([row["tensor"] for row in rows], np.float32)
    score = run("rare-events", model, readings)["score"]
    assert score.shape == (len(anomaly), 1)
    alarm = score[:, 0] > 0.5
    recorded = quality("rare-events")[model]
    assert anomaly.sum() == recorded["anomalies"]
    assert (alarm & (anomaly == 1)).sum() == pytest.approx(recorded["found"], abs=1)
    assert (alarm & (anomaly == 0)).sum() == pytest.approx(recorded["false alarms"], abs=1)
    assert recorded["found"] > 0.9 * recorded["anomalies"]


@pytest.mark.parametrize("model", ["events-mlp", "events-logistic"])
def test_challengers_are_as_close_to_the_champion_as_recorded(model: str) -> None:
    manifest = yaml.safe_load((EXAMPLES / "rare-events" / "pipeline.yaml").read_text())
    compare = manifest["spec"]["steps"][0]["shadow"]["compare"]
    rows, _ = held_out("rare-events")
    readings = np.array([row["tensor"] for row in rows], np.float32)
    champion = run("rare-events", "events-gb", readings)[compare["output"]]
    challenger = run("rare-events", model, readings)[compare["output"]]
    close = np.abs(challenger - champion) <= compare["tolerance"]
    recorded = quality("rare-events")[model]["close to the champion"]
    assert close.mean() == pytest.approx(recorded, abs=1 / len(rows))


def test_one_challenger_has_outputs_that_the_champion_has_not() -> None:
    own = {output["name"] for output in entries("rare-events")["events-logistic"]["outputs"]}
    champion = {output.name for output in session("rare-events", "events-gb").get_outputs()}
    assert own - champion == {"log_odds"}


def test_digits_are_read_as_well_as_recorded() -> None:
    rows, digits = held_out("digits")
    images = np.array([row["image"] for row in rows], np.float32)
    answer = run("digits", "digits-best", run("digits", "digits-net", images)["logits"])
    assert answer["digit"].dtype == np.int64
    assert answer["digit"].shape == answer["confidence"].shape == (len(digits),)
    assert ((answer["confidence"] > 0.1) & (answer["confidence"] <= 1)).all()
    (recorded,) = quality("digits").values()
    assert len(digits) == recorded["images"]
    assert (answer["digit"] == digits).sum() == pytest.approx(recorded["right"], abs=1)
    assert recorded["right"] > 0.95 * recorded["images"]


@pytest.mark.parametrize("model", ["names-control", "names-challenger"])
def test_place_names_are_told_apart_as_well_as_recorded(model: str) -> None:
    rows, countries = held_out("place-names")
    answer = run("place-names", model, np.array([row["text_input"] for row in rows], np.int32))
    scores = np.stack([answer[name][:, 0] for name in sorted(answer)], 1)
    right = (np.array(sorted(answer))[scores.argmax(axis=1)] == countries).sum()
    recorded = quality("place-names")[model]
    assert len(countries) == recorded["names"]
    assert right == pytest.approx(recorded["right"], abs=1)
    assert recorded["right"] > 3 * len(countries) / len(answer)


@pytest.mark.parametrize("model", ["names-control", "names-challenger"])
def test_converted_networks_answer_as_tensorflow_did(model: str) -> None:
    rows, _ = held_out("place-names")
    recorded = json.loads((EXAMPLES / "place-names" / "tensorflow.json").read_text())[model]
    asked = np.array([row["text_input"] for row in rows[: len(recorded["brazil"])]], np.int32)
    answer = run("place-names", model, asked)
    assert answer.keys() == recorded.keys()
    for name, scores in recorded.items():
        assert answer[name] == pytest.approx(np.array(scores), abs=1e-5, rel=1e-4)


@pytest.mark.parametrize("model", ["labels-windows", "labels-regions"])
def test_labels_are_found_and_read_as_well_as_recorded(model: str) -> None:
    truth = json.loads((EXAMPLES / "labels" / "truth.json").read_text())
    tensor = runpy.run_path(str(EXAMPLES / "labels" / "body.py"))["tensor"]
    pictures = sorted((EXAMPLES / "labels" / "held-out").glob("*.jpg"))
    labels = found = right = 0
    for picture, there in zip(pictures, truth, strict=True):
        answer = run("labels", model, tensor(picture)[None])
        assert all(len(values) == len(answer["boxes"]) for values in answer.values())
        for box, digit in zip(there["boxes"], there["classes"], strict=True):
            shares = overlaps(answer["boxes"], np.array(box))
            best = shares.argmax()
            labels += 1
            found += int(shares[best] >= 0.5)
            right += int(shares[best] >= 0.5 and answer["classes"][best] == digit)
    recorded = quality("labels")[model]
    assert labels == recorded["labels"]
    assert found == pytest.approx(recorded["found"], abs=1)
    assert right == pytest.approx(recorded["read right"], abs=1)
    assert recorded["read right"] > 0.75 * labels


def overlaps(boxes: Array, box: Array) -> Array:
    """Share of the joint area that boxes have in common with another."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = (high - low).clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return common / (areas - common)


@pytest.mark.parametrize("model", ["labels-windows", "labels-regions"])
def test_detectors_take_one_picture_and_give_any_number_of_boxes(model: str) -> None:
    loaded = session("labels", model)
    assert [one.shape for one in loaded.get_inputs()] == [[1, 3, 480, 640]]
    assert [one.shape for one in loaded.get_outputs()] == [["found", 4], ["found"], ["found"]]
    assert entries("labels")[model]["batch"] == "single"


def test_detectors_are_of_different_build() -> None:
    operators = {
        model: {node.op_type for node in onnx.load(path).graph.node}
        for path in (EXAMPLES / "labels" / "models").glob("*.onnx")
        for model in [path.stem]
    }
    assert operators["labels-regions"] - operators["labels-windows"] >= {"RoiAlign", "Gemm"}


def test_manifests_of_the_labels_differ_in_their_steps_only() -> None:
    document = yaml.safe_load((EXAMPLES / "labels" / "shadow.yaml").read_text())
    assert {one["name"]: one for one in document["spec"]["models"]} == entries("labels")
    assert read_pipeline(document).spec.steps


@pytest.mark.parametrize("model", ["forecast-smoothing", "forecast-regression"])
def test_forecasts_err_as_little_as_recorded(model: str, tmp_path: Path) -> None:
    rows, weeks = held_out("forecast")
    entry = ModelEntry.model_validate(entries("forecast")[model])
    archive = EXAMPLES / "forecast" / entry.source.uri.removeprefix("file:")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "model")
    python = made(tmp_path / "model", **entry.model_dump(by_alias=True, exclude_none=True))
    with kept(python):
        assert python.wait_loaded(PATIENCE) is None
        counts = np.array([row["count"] for row in rows], np.int32)
        forecast, average = python.run([counts])
    error = np.abs(forecast.astype(int) - weeks).mean()
    recorded = quality("forecast")
    assert error == pytest.approx(recorded[model]["mean absolute error"], rel=1e-3)
    assert error < recorded["as last week"]["mean absolute error"]
    assert average == pytest.approx(forecast.mean(axis=1))


@pytest.mark.parametrize("manifest", ["pipeline", "single", "shadow"])
def test_manifests_of_the_forecast_differ_in_their_steps_only(manifest: str) -> None:
    document = yaml.safe_load((EXAMPLES / "forecast" / f"{manifest}.yaml").read_text())
    assert {one["name"]: one for one in document["spec"]["models"]} == entries("forecast")
    assert read_pipeline(document).spec.steps


def test_forecasts_are_zips_of_their_sources() -> None:
    for source in (EXAMPLES / "forecast" / "sources").glob("*.py"):
        archive = EXAMPLES / "forecast" / "models" / f"{source.stem}.zip"
        with zipfile.ZipFile(archive) as packed:
            assert packed.namelist() == ["model.py", "fitted.json"]
            assert packed.read("model.py").decode() == source.read_text()


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_fresh_environment_makes_the_same_bytes(tmp_path: Path) -> None:
    python = fresh_python(tmp_path, f"--require-hashes -r {EXAMPLES / 'requirements.txt'}")
    again = tmp_path / "examples"
    shutil.copytree(EXAMPLES, again, ignore=PRODUCTS)
    subprocess.run([python, again / "build.py"], check=True, env=_plain_environment())
    check_same(again, set(NAMES) - APART)
    assert json.loads((again / "build.json").read_text())["packages"] == RECORD["packages"]


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_tensorflow_makes_the_same_bytes_in_its_own_environment(tmp_path: Path) -> None:
    convert, again = Path("sdk", "tiltyard", "convert"), tmp_path / "examples"
    lock = EXAMPLES.parent / convert / "requirements" / "tensorflow.txt"
    runtime = f"onnxruntime=={RECORD['packages']['onnxruntime']}"
    python = fresh_python(tmp_path, f"--require-hashes -r {lock}", f"--no-deps {runtime}")
    shutil.copytree(EXAMPLES.parent / convert, tmp_path / convert)
    shutil.copytree(EXAMPLES, again, ignore=PRODUCTS)
    command = [python, again / "build.py", *APART]
    subprocess.run(command, check=True, env=_plain_environment())
    check_same(again, APART)
    scores = Path("place-names", "tensorflow.json")
    assert (again / scores).read_bytes() == (EXAMPLES / scores).read_bytes()


def fresh_python(folder: Path, *wanted: str) -> Path:
    """Make an environment; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    for one in wanted:
        pip = f"{python} -m pip --disable-pip-version-check install --quiet {one}"
        subprocess.run(shlex.split(pip), check=True)
    return python


def check_same(again: Path, names: set[str]) -> None:
    """Compare what was made anew with what is committed, byte for byte."""
    for name, file in FILES:
        if name in names:
            assert (again / name / file).read_bytes() == (EXAMPLES / name / file).read_bytes(), file
    for name in names:
        for text in (*(EXAMPLES / name).glob("*.yaml"), EXAMPLES / name / "README.md"):
            assert (again / name / text.name).read_text() == text.read_text()
    made = json.loads((again / "build.json").read_text())["examples"]
    assert made == {name: RECORD["examples"][name] for name in names}


def _plain_environment() -> dict[str, str]:
    """This process's environment without what would reach into the other interpreter."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
