"""The fetcher, as a resolve Job and an init step run it: what it reports of which artifact."""

import hashlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, external_data_helper

import archives
import graphs
from fetchers import LOCAL, artifacts, entry, fetcher, trial
from givers import answer, giving, redirect, silent
from programs import alive, descendants
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_api.v1alpha1.models import Batch, ModelEntry
from tiltyard_engine.onnxfile import WeightsElsewhere, checked_graph
from tiltyard_engine.resolve import Bounds, resolve, usual_memory
from tiltyard_engine.sources.base import Access, ArtifactError

LINEAR = graphs.linear()
DIGEST = hashlib.sha256(LINEAR).hexdigest()


def with_weights(location: str = "weights.bin") -> tuple[bytes, bytes]:
    """Split a model that works into its graph and a file of weights beside it."""
    model = onnx.load_from_string(LINEAR)
    tensor = next(one for one in model.graph.initializer if one.name == "w")
    data = tensor.raw_data
    external_data_helper.set_external_data(tensor, location, offset=0, length=len(data))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return model.SerializeToString(), data


def test_a_model_is_fetched_tried_and_reported(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(LINEAR)
    found, done = trial(entry(f"file://{tmp_path}/m.onnx", sha256=DIGEST), tmp_path)
    assert done.stdout == ""
    assert found.resolved
    assert (found.resolved.digest, found.resolved.size) == (DIGEST, len(LINEAR))
    assert [one.name for one in found.resolved.inputs] == ["x"]
    assert found.resolved.outputs[0].shape == (-1, 1)


def test_a_machine_tries_a_model_once_and_again_when_its_entry_changes(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(LINEAR)
    store, access = tmp_path / "store", Access()
    model = ModelEntry.model_validate(entry(f"file://{tmp_path}/m.onnx"))
    plenty, nothing = Bounds(usual_memory()), Bounds(memory=1 << 20)
    found = resolve(model, access, store, plenty)
    renamed = model.model_copy(update={"name": "another"})
    assert resolve(renamed, access, store, nothing) == found, "there was no need to try it"
    single = model.model_copy(update={"batch": Batch.SINGLE})
    with pytest.raises(ArtifactError):
        resolve(single, access, store, nothing)


def test_a_zip_of_a_graph_and_its_weights_is_a_model(tmp_path: Path) -> None:
    graph, weights = with_weights()
    for name in ("model.onnx", "other.onnx"):
        data = archives.packed({name: graph, "weights.bin": weights, "README.md": b"x"})
        (tmp_path / "m.zip").write_bytes(data)
        found, _ = trial(entry(f"file://{tmp_path}/m.zip"), tmp_path)
        assert found.resolved
        assert found.resolved.digest == hashlib.sha256(data).hexdigest()
        assert found.resolved.inputs[0].shape == (-1, 4)


def zipped(location: str, **files: bytes) -> bytes:
    graph, weights = with_weights(location)
    return archives.packed({"model.onnx": graph, **dict.fromkeys(files, weights)})


BAD: dict[str, tuple[Callable[[], bytes], Reason, str]] = {
    "cut short": (
        lambda: LINEAR[: len(LINEAR) // 2],
        Reason.NOT_A_MODEL,
        "is not an ONNX model: it is cut short",
    ),
    "text": (lambda: b"hello", Reason.NOT_A_MODEL, "is not an ONNX model"),
    "empty": (lambda: b"", Reason.NOT_A_MODEL, "is not an ONNX model: it holds no graph"),
    "a tar archive": (
        lambda: b"\x1f\x8b" + bytes(100),
        Reason.NOT_A_MODEL,
        "is not an ONNX model",
    ),
    "a zip without a graph": (
        lambda: archives.packed({"a.txt": b"x"}),
        Reason.NOT_A_MODEL,
        "its zip holds none at the top: keep one file that ends in .onnx",
    ),
    "a zip with two": (
        lambda: archives.packed({"a.onnx": LINEAR, "b.onnx": LINEAR}),
        Reason.NOT_A_MODEL,
        "its zip holds a.onnx, b.onnx at the top",
    ),
    "an unsafe zip": (
        lambda: archives.packed({"model.onnx": LINEAR, "../evil": b"x"}),
        Reason.UNSAFE_ARCHIVE,
        "holds '../evil', which is no plain path below it: pack it anew",
    ),
    "weights outside": (
        lambda: with_weights()[0],
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (weights.bin): zip it together with that file",
    ),
    "weights above": (
        lambda: zipped("../../etc/passwd"),
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (../../etc/passwd)",
    ),
    "weights at the root": (
        lambda: zipped("/etc/passwd"),
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (/etc/passwd)",
    ),
    "weights missing": (
        lambda: zipped("weights.bin"),
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (weights.bin)",
    ),
    "weights in a folder": (
        lambda: zipped("sub/w.bin", **{"sub/w.bin": b""}),
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (sub/w.bin)",
    ),
    "sparse weights outside": (
        lambda: graphs.external("/etc/passwd", sparse=True),
        Reason.NOT_A_MODEL,
        "keeps weights outside itself (/etc/passwd)",
    ),
    "an unknown operator": (
        lambda: graphs.model(
            [graphs.node("NoSuchOperator", "x", "y")],
            [graphs.value("x", "float32", ["N"])],
            [graphs.value("y", "float32", ["N"])],
        ),
        Reason.LOAD_FAILED,
        "cannot be loaded: ",
    ),
    "32 GiB in a few bytes": (
        graphs.enormous,
        Reason.LOAD_FAILED,
        "needs more than the 1024 MiB that it was tried with",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_model_gets_a_reason_and_one_sentence(tmp_path: Path, case: str) -> None:
    make, reason, words = BAD[case]
    (tmp_path / "m.onnx").write_bytes(make())
    uri = f"file://{tmp_path}/m.onnx"
    found, _ = trial(entry(uri), tmp_path, "--memory", "1Gi")
    assert (found.resolved, found.reason) == (None, reason)
    assert found.fault
    assert found.fault.startswith(f"{uri} ")
    assert words in found.fault
    assert "\n" not in found.fault


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_weights_that_are_links_are_refused_wherever_they_came_from(
    tmp_path: Path, make: str
) -> None:
    graph, weights = with_weights()
    (tmp_path / "outside").write_bytes(weights)
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph)
    getattr(folder / "weights.bin", make)(tmp_path / "outside")
    with pytest.raises(WeightsElsewhere, match=r"keeps weights outside itself \(weights.bin\)"):
        checked_graph(folder)
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").write_bytes(weights)
    assert checked_graph(folder) == folder / "model.onnx"


def test_a_model_that_does_not_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(graphs.endless(above=-1e6))
    model = entry(f"file://{tmp_path}/m.onnx", timeout="500ms")
    found, _ = trial(model, tmp_path)
    assert found.reason is Reason.LOAD_FAILED
    assert "runs too long on one made-up row: it took longer than 0.5 s" in (found.fault or "")
    slow = entry(f"file://{tmp_path}/m.onnx", timeout="1h")
    found, _ = trial(slow, tmp_path, "--trial-timeout", "3s")
    assert found.reason is Reason.LOAD_FAILED
    assert "did not load and run within 3 s" in (found.fault or "")


def test_what_tries_a_model_ends_with_the_fetcher_however_that_ends(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(graphs.endless(above=-1e6))
    request = json.dumps({"entry": entry(f"file://{tmp_path}/m.onnx", timeout="1h")})
    command = [sys.executable, "-m", "tiltyard_engine.fetch", "trial", "--request", request]
    for number in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen([*command, "--report", tmp_path / "report"]) as process:
            while not (trying := descendants(process.pid)):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
        deadline = time.monotonic() + 10
        while any(map(alive, trying)):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_another_digest_is_refused_before_anything_parses(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model at all")
    found, _ = trial(entry(f"file://{tmp_path}/m.onnx", sha256=DIGEST), tmp_path)
    assert found.reason is Reason.DIGEST_MISMATCH


def test_a_long_signature_is_packed_and_read_back(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(graphs.many_inputs([f"column_{n:03}" for n in range(256)]))
    found, _ = trial(entry(f"file://{tmp_path}/m.onnx"), tmp_path)
    assert b"packed" in (tmp_path / "report").read_bytes()
    assert found.resolved
    assert [one.name for one in found.resolved.inputs][:2] == ["column_000", "column_001"]
    assert len(found.resolved.inputs) == 256


def test_a_signature_that_is_too_long_must_be_declared(tmp_path: Path) -> None:
    names = [secrets.token_hex(32) for _ in range(200)]
    (tmp_path / "m.onnx").write_bytes(graphs.many_outputs(names))
    uri = f"file://{tmp_path}/m.onnx"
    found, _ = trial(entry(uri), tmp_path)
    assert found.reason is Reason.SIGNATURE_TOO_LARGE
    assert "has 1 inputs and 200 outputs" in (found.fault or "")
    assert "declare in the model's inputs and outputs those that are used" in (found.fault or "")
    outputs = [{"name": "one", "from": names[7], "type": "float32"}]
    found, _ = trial(entry(uri, outputs=outputs), tmp_path)
    assert found.resolved
    assert [one.name for one in found.resolved.outputs] == [names[7]]


def test_no_secret_reaches_the_process_that_tries_nor_any_word(tmp_path: Path) -> None:
    with giving({"/m.onnx": answer(403, b"s3cr3t is wrong")}) as giver:
        folder = tmp_path / "keys"
        folder.mkdir()
        (folder / "token").write_text("s3cr3t")
        model = entry(f"{giver.url}/m.onnx", secretName="mine")
        found, done = trial(model, tmp_path, "--secret", f"mine={folder}", *LOCAL)
        assert giver.asked[0].headers["authorization"] == "Bearer s3cr3t"
    assert found.reason is Reason.ACCESS_DENIED
    assert "s3cr3t" not in f"{found} {done.stdout} {done.stderr}"


@pytest.mark.parametrize("there", ["nothing", "a folder", "what a kubelet mounts without it"])
def test_a_secret_that_is_missing_or_empty_is_named(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "keys"
    if there != "nothing":
        folder.mkdir()
    if there == "what a kubelet mounts without it":
        (folder / "..2026_11_21_17_40_00.1").mkdir()
        (folder / "..data").symlink_to("..2026_11_21_17_40_00.1")
    model = entry("https://models.invalid/m.onnx", secretName="mine")
    found, _ = trial(model, tmp_path, "--secret", f"mine={folder}")
    assert found.reason is Reason.SECRET_NOT_FOUND
    assert "the Secret 'mine', which secretName names, is not there" in (found.fault or "")
    assert "create it in the namespace of the manifest" in (found.fault or "")


def test_loopback_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    with giving({"/m.onnx": answer(200, LINEAR)}) as giver:
        model = entry(f"{giver.url}/m.onnx")
        assert trial(model, tmp_path)[0].reason is Reason.ADDRESS_REFUSED
        assert giver.asked == []
        found, _ = trial(model, tmp_path, *LOCAL)
        assert found.resolved
        assert found.resolved.digest == DIGEST


def test_a_server_that_says_nothing_does_not_hold_a_trial(tmp_path: Path) -> None:
    with giving({"/m.onnx": silent}) as giver:
        found, _ = trial(entry(f"{giver.url}/m.onnx"), tmp_path, "--timeout", "1s", *LOCAL)
    assert found.reason is Reason.SOURCE_UNAVAILABLE


DOUBLE = b"""
def process_data(input_data):
    return {"y": input_data["x"] * 2}
"""
SIGNATURE = {
    "inputs": [{"name": "x", "type": "float32", "shape": [2]}],
    "outputs": [{"name": "y", "type": "float32", "shape": [2]}],
}


@pytest.mark.parametrize("name", ["m.zip", "m.py"])
def test_a_python_model_is_tried_in_a_worker_and_fetched_for_a_pod(
    tmp_path: Path, name: str
) -> None:
    data = archives.packed({"model.py": DOUBLE}) if name == "m.zip" else DOUBLE
    (tmp_path / name).write_bytes(data)
    uri = f"file://{tmp_path}/{name}"
    found, _ = trial(entry(uri, "python", **SIGNATURE), tmp_path)
    assert found.resolved, found.fault
    assert found.resolved.digest == hashlib.sha256(data).hexdigest()
    assert found.resolved.outputs[0].shape == (-1, 2)
    refusal, _ = artifacts(tmp_path, pinned(uri, data, framework="python"))
    assert refusal is None


@pytest.mark.parametrize(
    ("files", "reason", "words"),
    [
        ({"model.py": b"1 / 0"}, Reason.LOAD_FAILED, "ZeroDivisionError: division by zero"),
        ({"README.md": b"x"}, Reason.LOAD_FAILED, "model.py"),
        (
            {"model.py": DOUBLE.replace(b"* 2", b"[:, :1]")},
            Reason.SIGNATURE_MISMATCH,
            "'y'",
        ),
        (
            {"model.py": DOUBLE, "requirements.txt": b"requests"},
            Reason.REQUIREMENTS_NOT_LOCKED,
            "does not pin 'requests' by hashes: run `tiltyard lock`",
        ),
    ],
)
def test_a_bad_python_model_gets_a_reason(
    tmp_path: Path, files: dict[str, bytes], reason: Reason, words: str
) -> None:
    (tmp_path / "m.zip").write_bytes(archives.packed(files))
    found, _ = trial(entry(f"file://{tmp_path}/m.zip", "python", **SIGNATURE), tmp_path)
    assert found.reason is reason, found.fault
    assert words in (found.fault or "")


def pinned(uri: str, data: bytes = LINEAR, **fields: Any) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    basis = {"model": "m", "framework": "onnx", "uri": uri, "digest": digest, "size": len(data)}
    return {**basis, **fields}


def test_a_pod_gets_what_its_plan_pins(tmp_path: Path) -> None:
    graph, weights = with_weights()
    data = archives.packed({"model.onnx": graph, "weights.bin": weights})
    with giving({"/m.onnx": answer(200, LINEAR), "/m.zip": answer(200, data)}) as giver:
        one, two = pinned(f"{giver.url}/m.onnx"), pinned(f"{giver.url}/m.zip", data, model="n")
        for _ in range(2):  # a container that is started again fetches nothing again
            refusal, store = artifacts(tmp_path, one, two)
            assert refusal is None
        assert len(giver.asked) == 2
    assert (store / one["digest"]).read_bytes() == LINEAR
    unpacked = {path.name for path in (store / "unpacked" / two["digest"]).iterdir()}
    assert unpacked == {"model.onnx", "weights.bin"}


def test_a_pod_refuses_what_was_changed_since(tmp_path: Path) -> None:
    with giving({"/m.onnx": answer(200, graphs.linear(seed=1))}) as giver:
        uri = f"{giver.url}/m.onnx"
        refusal, store = artifacts(tmp_path, pinned(uri))
    assert refusal
    assert refusal.reason is Reason.ARTIFACT_CHANGED
    assert refusal.fault == (
        f"model 'm': {uri} no longer holds the bytes that were tried (SHA-256 {DIGEST}): restore"
        " them, or change the model's source, so that the new ones are tried"
    )
    assert list(store.iterdir()) == []


def test_a_pod_asks_the_immutable_address_first(tmp_path: Path) -> None:
    routes = {"/m.onnx": answer(200, b"newer"), "/v1/m.onnx": answer(200, LINEAR)}
    with giving(routes) as giver:
        address = f"{giver.url}/v1/m.onnx"
        refusal, _ = artifacts(tmp_path, pinned(f"{giver.url}/m.onnx", address=address))
        assert refusal is None
        giver.routes["/m.onnx"] = answer(200, LINEAR)
        giver.routes["/v1/m.onnx"] = answer(404)
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        refusal, _ = artifacts(fresh, pinned(f"{giver.url}/m.onnx", address=address))
        assert refusal is None


def test_a_pod_says_which_model_cannot_be_had(tmp_path: Path) -> None:
    with giving({"/a": redirect("/a")}) as giver:
        refusal, _ = artifacts(tmp_path, pinned(f"{giver.url}/gone", model="rf"))
        assert refusal
        assert refusal.reason is Reason.SOURCE_NOT_FOUND
        assert refusal.fault
        assert refusal.fault.startswith(f"model 'rf': {giver.url}/gone answered 404")


@pytest.mark.parametrize("arguments", [(), ("trial",), ("models", "--into", "x", "--pvc", "a")])
def test_wrong_arguments_are_told_by_usage(arguments: tuple[str, ...]) -> None:
    done = fetcher(*arguments) if arguments else fetcher("nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m tiltyard_engine.fetch")
