"""What `tiltyard convert` recognises, compares and refuses; committed conversions still agree."""

import gzip
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from conversions import FIXTURES, converted
from tiltyard.commands import app
from tiltyard.convert import compare, entry, rows
from tiltyard.convert.detect import detect, pickled
from tiltyard.convert.frameworks import TOOLS, Framework
from tiltyard.failure import Failure
from tiltyard_api.resolved import GraphTensor, ResolvedModel

TOLERANCE = 1e-4


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def pickle_of(module: str, name: str) -> bytes:
    """A pickle that would make an object of this class, whether or not it is installed."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"q\x00)R."


FILES = {
    "model.joblib": (pickle_of("sklearn.pipeline", "Pipeline"), Framework.SCIKIT_LEARN),
    "packed.pkl": (gzip.compress(pickle_of("sklearn.svm", "SVC")), Framework.SCIKIT_LEARN),
    "array.pkl": (
        b"\x80\x02cnumpy\nndarray\n0clightgbm.sklearn\nLGBMRegressor\n.",
        Framework.LIGHTGBM,
    ),
    "boosted.pkl": (pickle_of("xgboost.sklearn", "XGBClassifier"), Framework.XGBOOST),
    "model.json": (b'{"learner":{"attributes":{}}}', Framework.XGBOOST),
    "model.ubj": (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", Framework.XGBOOST),
    "model.txt": (b"tree\nversion=v4\n", Framework.LIGHTGBM),
    "model.h5": (b"\x89HDF\r\n\x1a\n", Framework.KERAS),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_recognised_by_what_they_hold(name: str, tmp_path: Path) -> None:
    content, framework = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert detect(tmp_path / name) is framework
    assert pickled(tmp_path / name) is name.endswith((".joblib", ".pkl"))


@pytest.mark.parametrize(
    ("members", "framework"),
    [
        (["aloha/saved_model.pb", "aloha/variables/variables.index"], Framework.TENSORFLOW),
        (["metadata.json", "config.json", "model.weights.h5"], Framework.KERAS),
        (["m/archive_format", "m/models/model.json"], Framework.PYTORCH),
    ],
)
def test_zips_are_recognised_by_their_members(
    members: list[str], framework: Framework, tmp_path: Path
) -> None:
    assert detect(zipped(tmp_path / "model.zip", *members)) is framework


def test_a_saved_model_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert detect(tmp_path) is Framework.TENSORFLOW


def test_recognising_runs_nothing_of_a_pickle(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(Failure, match="is a pickle of pathlib's: say which framework wrote it"):
        detect(tmp_path / "model.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"", "is ONNX already: serve it as it is"),
        ("model.bin", b"what", "is no model that can be recognised: say which framework"),
        ("model.pkl", b"\x80\x02}.", "is no model that can be recognised"),
        ("model.json", b'{"trees": []}', "is no model that can be recognised"),
        ("model.zip", b"PK\x03\x04", "is no model that can be recognised"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Failure, match=message):
        detect(tmp_path / name)


def test_weights_without_a_program_are_refused_with_the_remedy(tmp_path: Path) -> None:
    model = zipped(tmp_path / "model.pt", "model/data.pkl")
    with pytest.raises(Failure, match=r"not a program: write it by torch\.export\.save"):
        detect(model)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="there is no such file or folder"):
        detect(tmp_path / "none")
    with pytest.raises(Failure, match=r"without saved_model\.pb is no SavedModel"):
        detect(tmp_path)


def failure(*arguments: object) -> str:
    ran = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert isinstance(ran.exception, Failure), ran.output
    return str(ran.exception)


def test_the_command_refuses_what_cannot_work(tmp_path: Path) -> None:
    model = tmp_path / "model.txt"
    model.write_text("tree\n")
    here = tmp_path / "model.onnx"
    assert "give it a name that ends in .onnx" in failure(model, "--to", tmp_path / "model")
    assert "there is no folder" in failure(model, "--to", tmp_path / "none" / "m.onnx")
    assert "cannot be read" in failure(model, "--to", here, "--rows", tmp_path / "none.json")
    assert "cannot be run" in failure(model, "--to", here, "--python", tmp_path / "python")
    assert not here.exists()


def test_an_interpreter_without_the_framework_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").touch()
    asked = (tmp_path / "model.pt2", "--to", tmp_path / "m.onnx", "--framework", "pytorch")
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'it has no numpy' >&2\nexit 3\n")
    bare.chmod(0o755)
    assert "ended with exit code 3: it has no numpy" in failure(*asked, "--python", bare)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("r.csv", "town,size\na,3\nb,\nc,1e3\n", [("a", 3), ("b", None), ("c", 1000.0)]),
        ("r.json", '[{"town": "a", "size": 3}]', [("a", 3)]),
        ("r.json", '{"town": "a", "size": 3}', [("a", 3)]),
    ],
)
def test_rows_are_records(name: str, text: str, read: list[object], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert [(row["town"], row["size"]) for row in rows.read(tmp_path / name)] == read


@pytest.mark.parametrize("text", ["[]", "[1]", "what", "3"])
def test_rows_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(Failure, match=r"r\.json: "):
        rows.read(tmp_path / "r.json")


def differ(ours: object, theirs: object) -> compare.Difference:
    (found,) = compare.differences({"y": np.array(ours)}, {"y": np.array(theirs)}, TOLERANCE)
    return found


def test_the_largest_difference_is_told_with_its_row() -> None:
    found = differ([[1.0], [2.0], [4.5]], [1.0, 2.0, 4.0])
    assert (found.absolute, found.relative, found.row) == (0.5, 0.125, 2)
    assert differ([0.0, 10.0, 20.01], [0.01, 10.0, 20.0]).relative == pytest.approx(0.001, rel=0.1)


def test_what_is_no_number_agrees_with_itself_only() -> None:
    inf, nan = float("inf"), float("nan")
    assert differ([nan, inf, 1.0], [nan, inf, 1.0]).relative == 0
    assert differ([1.0, 1.0], [1.0, nan]).relative == inf
    assert differ([1.0, inf], [1.0, -inf]).absolute == inf
    assert differ(["a", "b"], ["a", "c"]).row == 1
    assert differ([True, False], [True, True]).absolute == 1


def test_labels_may_differ_only_where_classes_are_equally_probable() -> None:
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8]])
    theirs = {"label": np.array([0, 1]), "probabilities": probabilities}
    for ours, worst in (([1, 1], 0), ([0, 0], 1)):
        got = {"label": np.array(ours), "probabilities": probabilities}
        assert compare.differences(got, theirs, TOLERANCE)[0].absolute == worst


def test_another_size_is_refused() -> None:
    with pytest.raises(Failure, match="has the shape"):
        differ([1.0, 2.0], [1.0])


def test_the_entry_is_what_a_manifest_takes(tmp_path: Path) -> None:
    taken = GraphTensor(name="features", type="float32", shape=(-1, 2))
    given = GraphTensor(name="label", type="int64", shape=(-1,))
    found = ResolvedModel(digest="a" * 64, size=1, inputs=(taken,), outputs=(given,))
    made = entry.entry(tmp_path / "My model.onnx", found, {"features": ["a b", "c"]})
    assert yaml.safe_load(entry.lines(made)) == {
        "models": [
            {
                "name": "my-model",
                "framework": "onnx",
                "source": {"uri": "file:My model.onnx", "sha256": "a" * 64},
                "inputs": [
                    {"name": "features", "type": "float32", "shape": [2], "columns": ["a b", "c"]}
                ],
                "outputs": [{"name": "label", "type": "int64", "shape": []}],
            }
        ]
    }


def test_names_that_no_entry_can_hold_are_left_to_the_graph(tmp_path: Path) -> None:
    tensor = GraphTensor(name="x" * 65, type="float32", shape=(-1, 2))
    found = ResolvedModel(digest="a" * 64, size=1, inputs=(tensor,), outputs=(tensor,))
    made = entry.entry(tmp_path / "m.onnx", found, {})
    assert (made.inputs, made.outputs) == (None, None)


@pytest.mark.parametrize("tool", {tool.environment: tool for tool in TOOLS.values()}.values())
def test_what_converts_is_locked_by_hashes(tool: object) -> None:
    lines = tool.requirements.read_text().replace("\\\n", "").splitlines()
    assert lines
    assert all("==" in line and "--hash=sha256:" in line for line in lines)


@pytest.mark.parametrize("framework", Framework)
def test_committed_conversions_answer_as_their_originals(framework: Framework) -> None:
    folder = FIXTURES / framework
    record = json.loads((folder / "record.json").read_text())
    asked = json.loads((folder / "rows.json").read_text())
    (name,) = asked[0]
    inputs = {name: np.array([row[name] for row in asked], np.float32)}
    ours = compare.run(folder / "model.onnx", inputs)
    theirs = dict(zip(ours, map(np.array, record["answers"]), strict=True))
    found = compare.differences(ours, theirs, TOLERANCE)
    assert max(one.relative for one in found) < TOLERANCE
    assert any(np.ptp(answer.astype(float)) > 0 for answer in theirs.values())
    locked = TOOLS[framework].requirements.read_text()
    for package in record["versions"].split(", "):
        assert package.replace(" ", "==") in locked


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("framework", Framework)
def test_models_of_today_are_converted_and_agree(framework: Framework, tmp_path: Path) -> None:
    said = converted(framework, tmp_path)
    record = json.loads((FIXTURES / framework / "record.json").read_text())
    assert said.startswith(f"# {record['versions']}\n")
    (made,) = yaml.safe_load(said)["models"]
    assert made["framework"] == "onnx"
    assert (tmp_path / "model.onnx").exists()


def test_without_an_index_of_packages_the_way_around_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.txt"
    model.write_text("tree\n")
    monkeypatch.setenv("TILTYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    said = failure(model, "--to", tmp_path / "model.onnx")
    assert "the package index cannot be reached: give --python with an interpreter" in said
