"""Models that cannot be served: one line, exit code 1, and nothing ever listened."""

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from engines import serving
from makers import Document
from manifests import MODELS, bike_document, bike_model, bike_record, write
from programs import tiltyard

pytestmark = pytest.mark.served

WHOLE = (MODELS / "bike-rf.onnx").read_bytes()


def external(folder: Path, location: str) -> None:
    """Write a model whose weights lie in another file."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [10, 1], bytes(40), raw=True)
    onnx.external_data_helper.set_external_data(weights, location)
    weights.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "w"], ["variable"])],
        "external",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 10])],
        [helper.make_tensor_value_info("variable", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "m.onnx").write_bytes(model.SerializeToString())


def of_bytes(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "m.onnx").write_bytes(data)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "file:m.onnx: No such file or directory"),
    "a folder": (lambda folder: (folder / "m.onnx").mkdir(), "file:m.onnx: Is a directory"),
    "empty": (of_bytes(b""), "file:m.onnx is not an ONNX model"),
    "truncated": (of_bytes(WHOLE[: len(WHOLE) // 2]), "file:m.onnx is not an ONNX model"),
    "not ONNX": (of_bytes(b"hello"), "file:m.onnx is not an ONNX model"),
    "no zip": (of_bytes(b"PK\3\4 a zip, says its head"), "file:m.onnx is a damaged zip"),
    "weights outside": (
        lambda folder: external(folder, "../weights.bin"),
        "file:m.onnx keeps weights outside itself (../weights.bin)",
    ),
}


def refusal_of(manifest: Path, cache: Path) -> str:
    """Fail to serve a manifest; returns the one line that is said."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    run = tiltyard("serve", manifest, "--port", port, "--management-port", "0", cache=cache)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    return line


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_stops_the_start(tmp_path: Path, case: str) -> None:
    make, said = CASES[case]
    make(tmp_path)
    document = bike_document()
    document["spec"]["models"][1] = bike_model("rf", "file:m.onnx")
    line = refusal_of(write(tmp_path / "p.yaml", document), tmp_path)
    place = f"{tmp_path}/p.yaml: spec.models[1].source: model 'rf': "
    assert line.startswith(place + said)


def test_another_digest_is_refused_and_both_are_named(tmp_path: Path) -> None:
    document = bike_document()
    document["spec"]["models"][0]["source"]["sha256"] = "0" * 64
    line = refusal_of(write(tmp_path / "p.yaml", document), tmp_path)
    found = hashlib.sha256((MODELS / "bike-gb.onnx").read_bytes()).hexdigest()
    assert f"has SHA-256 {found}, the manifest says {'0' * 64}" in line


def test_a_bad_challenger_stops_the_start_too(tmp_path: Path) -> None:
    document = bike_document()
    document["spec"]["models"][1] = bike_model("rf", "file:gone.onnx")
    shadow: Document = {"champion": "gb", "challengers": [{"model": "rf"}]}
    document["spec"]["steps"] = [{"name": "demand", "shadow": shadow}]
    assert "model 'rf': file:gone.onnx" in refusal_of(
        write(tmp_path / "p.yaml", document), tmp_path
    )


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    document = bike_document()
    document["spec"]["models"][0]["inputs"][0]["type"] = "int64"
    line = refusal_of(write(tmp_path / "p.yaml", document), tmp_path)
    assert line.startswith(f"{tmp_path}/p.yaml: spec.models[0].inputs[0]")


def test_relative_sources_start_at_the_manifest(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.onnx").write_bytes(WHOLE)
    (tmp_path / "two" / "m.onnx").write_bytes((MODELS / "bike-gb.onnx").read_bytes())
    manifests = []
    for folder in ("one", "two"):
        document = bike_document(name=folder)
        document["spec"]["models"] = [bike_model("gb", "file:m.onnx"), bike_model("rf")]
        manifests.append(write(tmp_path / folder / "p.yaml", document))
    with serving(manifests[0], manifests=(manifests[1],), cache=tmp_path / "cache") as served:
        digests = {one["name"]: one["models"][0]["digest"] for one in served.status()["pipelines"]}
        assert digests["one"] == hashlib.sha256(WHOLE).hexdigest()
        assert digests["two"] != digests["one"]
        assert served.infer([bike_record()], "two")
    kept = [one.name for one in (tmp_path / "cache" / "models").iterdir() if one.is_file()]
    assert sorted(kept) == sorted(digests.values())
