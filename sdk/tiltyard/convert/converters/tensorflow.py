"""TensorFlow and Keras: SavedModels (a folder, or a zip of one) and files of Keras."""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf2onnx.convert

from . import base
from .base import OPSET, Arrays, Conversion, Fault, Rows

SAVED = "saved_model.pb"
SIGNATURE = "serving_default"


def convert(path: Path, rows: Rows) -> Conversion:
    """Convert the serving signature."""
    with tempfile.TemporaryDirectory() as folder:
        saved = _saved(path, Path(folder))
        loaded = tf.saved_model.load(str(saved))
        if SIGNATURE not in loaded.signatures:
            known = ", ".join(loaded.signatures) or "none"
            raise Fault(f"{path} has no signature {SIGNATURE!r} (it has {known}): save it with one")
        inputs, answers = _answered(loaded.signatures[SIGNATURE], rows)
        return Conversion(_graph(saved, Path(folder)), inputs, answers)


def _saved(path: Path, folder: Path) -> Path:
    """Give the folder of a SavedModel: as it lies there, unpacked, or exported from Keras."""
    if path.is_dir():
        return path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            found = [name for name in packed.namelist() if Path(name).name == SAVED]
            if found:
                packed.extractall(folder)
                return (folder / found[0]).parent
    try:
        model = keras.saving.load_model(path, compile=False)
    except ValueError as error:
        raise Fault(f"{path} cannot be read by Keras {keras.__version__}: {error}") from error
    model.export(folder / "exported", verbose=False)
    return folder / "exported"


def _answered(function: Any, rows: Rows) -> tuple[Arrays, Arrays]:  # noqa: ANN401 - a library without types
    _, specs = function.structured_input_signature
    inputs = {name: _samples(name, spec, rows) for name, spec in specs.items()}
    asked = {
        name: tf.constant(array.tolist() if array.dtype == object else array, specs[name].dtype)
        for name, array in inputs.items()
    }
    answers = {name: _plain(value.numpy()) for name, value in function(**asked).items()}
    return inputs, answers


def _samples(name: str, spec: Any, rows: Rows) -> Any:  # noqa: ANN401 - a library without types
    if spec.shape.rank is None or spec.shape.rank == 0:
        raise Fault(f"input {name!r} has no rows: give it a first dimension that is free")
    shape = [1 if length is None else length for length in spec.shape[1:]]
    kind = object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
    whole = base.made_up(kind, shape) if rows is None else base.tensor(rows, name, kind, shape)
    fixed = spec.shape[0]
    return whole if fixed is None else np.resize(whole, (fixed, *shape))


def _plain(value: Any) -> Any:  # noqa: ANN401 - an array or one text
    array = np.asarray(value)
    if array.dtype != object:
        return array
    return np.vectorize(lambda one: one.decode(errors="replace"), otypes=[object])(array)


def _graph(saved: Path, folder: Path) -> bytes:
    """Run the converter as its own command line does."""
    to = folder / "model.onnx"
    sys.argv = ["tf2onnx", "--saved-model", str(saved), "--output", str(to)]
    sys.argv += ["--tag", "serve", "--signature_def", SIGNATURE, "--opset", str(OPSET)]
    tf2onnx.convert.main()
    return to.read_bytes()
