"""The same rows through every format in and every format out give the same numbers, bit for bit."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml

from conformance import WAYS, Arrays, Refused, Rows, Way, same, v2_arrays, v2_body
from engines import EXAMPLES
from onnx_suite import Pairs, bare, candidates
from planes import Plane, opened
from tiltyard_api.faults import InvalidManifest
from tiltyard_engine.artifacts import ArtifactError
from tiltyard_engine.columns import Array

AT_LEAST = {"bounded": 12, "all": 80}
"""Models that must go by all ways; fewer means that we refuse more."""


def refusal_due(way: Way, feeds: Arrays) -> str | None:
    """Why a way cannot carry these rows; it must then be said."""
    if way.name == "grpc: typed" and any(one.dtype == np.float16 for one in feeds.values()):
        return "WrongType"
    return None


def check(plane: Plane, rows: Rows, wanted: Arrays) -> list[str]:
    """Go by every way; names of those on which the numbers are others."""
    others = []
    for way in WAYS:
        given = way.ask(plane, rows, wanted)
        due = refusal_due(way, rows.tensors)
        if isinstance(given, Refused):
            if given.reason != due:
                others.append(f"{way.name}: {given.reason}")
        elif due or not same(given, wanted, exact=way.exact):
            others.append(way.name)
    return others


def one_of_each_kind() -> Iterator[tuple[str, bytes, Pairs]]:
    """One model for each combination of types and ranks."""
    seen = set()
    for name, data, pairs in every_model():
        feeds, outputs = pairs[0]
        kinds = tuple((one.dtype.name, one.ndim) for one in (*feeds.values(), *outputs.values()))
        if kinds not in seen:
            seen.add(kinds)
            yield name, data, pairs


def every_model() -> Iterator[tuple[str, bytes, Pairs]]:
    for name, data in candidates():
        pairs = bare(data)
        if pairs is not None:
            yield name, data, pairs


@pytest.mark.parametrize(
    ("models", "least"),
    [
        pytest.param(one_of_each_kind, AT_LEAST["bounded"], id="one of each kind"),
        pytest.param(
            every_model,
            AT_LEAST["all"],
            id="all",
            marks=[pytest.mark.full, pytest.mark.timeout(900)],
        ),
    ],
)
def test_the_onnx_suite_by_every_way(
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    models: Callable[[], Iterator[tuple[str, bytes, Pairs]]],
    least: int,
) -> None:
    served, others = 0, {}
    for index, (name, data, pairs) in enumerate(models()):
        folder = tmp_path / str(index)
        folder.mkdir()
        try:
            with opened(folder, {"a": data}) as plane:
                for feeds, outputs in pairs[:2]:
                    if found := check(plane, Rows(feeds, feeds), outputs):
                        others[name] = found
        except (ArtifactError, InvalidManifest):
            continue
        served += 1
    record_property("models", served)
    assert others == {}
    assert served >= least


CHAINS = {
    "bike-demand": ("bike-gb",),
    "digits": ("digits-net", "digits-best"),
    "rare-events": ("events-gb",),
}
"""The models that answer in each example, one behind the other."""

PINS = {"bike-demand": {"X-Tiltyard-Variant": "demand=bike-gb"}}


@pytest.mark.parametrize("example", CHAINS)
def test_the_examples_by_every_way(tmp_path: Path, example: str) -> None:
    home = EXAMPLES / example
    spec = yaml.safe_load((home / "pipeline.yaml").read_text())["spec"]
    data = {m["name"]: (home / m["source"]["uri"][5:]).read_bytes() for m in spec["models"]}
    entries = {
        model["name"]: {key: model[key] for key in ("inputs", "outputs") if key in model}
        for model in spec["models"]
    }
    with opened(tmp_path, data, spec["steps"], entries=entries) as plane:
        records = json.loads((home / "held-out.json").read_text())[:5]
        rows = held_out(plane, records, PINS.get(example, {}))
        values = list(rows.tensors.values())
        for name in CHAINS[example]:
            answered = alone(data[name], entries[name].get("outputs", []), values)
            values = list(answered.values())
        assert check(plane, rows, answered) == []


def held_out(plane: Plane, records: list[dict[str, object]], headers: Mapping[str, str]) -> Rows:
    """Rows of an example, as columns and as the tensors that are made of them."""
    columns, tensors = {}, {}
    for tensor in plane.plan.request:
        mine = {
            name: np.array([row[name] for row in records], tensor.type) for name in tensor.columns
        }
        columns |= mine
        name = plane.plan.steps[0].inputs[0].input if tensor.stacked else tensor.key
        tensors[name] = np.stack(list(mine.values()), axis=1) if tensor.stacked else mine[name]
    return Rows(columns, tensors, headers)


def alone(data: bytes, renamed: list[dict[str, str]], values: list[Array]) -> Arrays:
    """Run a model bare; its outputs by the names that the example gives them."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feeds = {node.name: one for node, one in zip(session.get_inputs(), values, strict=True)}
    called = {one.get("from", one["name"]): one["name"] for one in renamed}
    outputs = zip(names, session.run(names, feeds), strict=True)
    return {called.get(name, name): array for name, array in outputs}


def test_no_bit_depends_on_where_the_bytes_lie_in_a_body(tmp_path: Path) -> None:
    """Instance normalisation sums in another order where its input begins between two words."""
    name = "test_operator_symbolic_override"
    data = next(data for found, data in candidates() if found == name)
    pairs = bare(data)
    assert pairs is not None
    feeds, outputs = pairs[1]
    head, binary = v2_body(Rows(feeds, feeds), binary=True, binary_out=True)
    with opened(tmp_path, {"a": data}) as plane:
        for spaces in range(32):
            padded = head + b" " * spaces
            headers = {"Inference-Header-Content-Length": str(len(padded))}
            answer = plane.send("/v2/models/tested/infer", padded + binary, headers)
            assert same(v2_arrays(answer, outputs), outputs, exact=True), spaces
        assert check(plane, Rows(feeds, feeds), outputs) == []
