"""How the examples' files are written, so that the same inputs give the same bytes."""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

OPSETS = {"": 17, "ai.onnx.ml": 1}
"""Old enough for any onnxruntime of the last years; asked of the converter, too."""

IR_VERSION = 8
"""The file format that goes with opset 17."""

Arrays = dict[str, np.ndarray[Any, Any]]


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph whose rows are free; converters leave its first dimensions unnamed."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    save_graph(model, path)


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph whose bytes tell nothing but the model.

    Converters sign with their own version and a random or class-derived graph name; all of that is
    replaced.
    """
    model.producer_name, model.producer_version = "tiltyard-examples", "1"
    model.ir_version = IR_VERSION
    model.domain, model.model_version, model.doc_string = "", 0, ""
    model.graph.name, model.graph.doc_string = path.stem, ""
    used = {node.domain for node in model.graph.node}
    del model.opset_import[:]
    model.opset_import.extend(
        helper.make_opsetid(domain, number) for domain, number in OPSETS.items() if domain in used
    )
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def save_archive(files: Mapping[str, str], path: Path) -> None:
    """Write a zip whose bytes tell nothing but its files: no times, no owner, no packing."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            member = zipfile.ZipInfo(name)  # of the year 1980
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, text)


def save_rows(rows: Sequence[object], path: Path) -> None:
    """Write a JSON list with one element a line, so that a diff of it can be read."""
    lines = ",\n".join(json.dumps(row, separators=(", ", ": ")) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")


def run(path: Path, inputs: Arrays) -> Arrays:
    """Answer of a saved model, by raw onnxruntime, output by output."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def report_conversion(path: Path, ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    """Print how far the ONNX answer is from the trained model's, over the held-out rows."""
    difference = float(np.abs(ours.ravel() - theirs.ravel()).max())
    print(f"{path.name}: largest difference from the trained model {difference:.3g}")


def source(package: str, member: str, content: bytes, rows: int) -> dict[str, str | int]:
    """Describe the data file that an example was made from, for `build.json`."""
    digest = hashlib.sha256(content).hexdigest()
    return {"package": package, "file": member, "sha256": digest, "rows": rows}
