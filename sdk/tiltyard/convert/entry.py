"""The lines of a manifest for a converted model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.v1alpha1.models import Batch, InputTensor, ModelEntry, Source, Tensor
from tiltyard_api.v1alpha1.models import Framework as Runs

Columns = Mapping[str, Sequence[str]]

LONGEST_NAME = 64
MOST_COLUMNS = 1024
MOST_TENSORS = 256


def unresolved(model: Path) -> ModelEntry:
    """Entry of which no more is said than where the file is."""
    return ModelEntry(
        name=_name(model), framework=Runs.ONNX, source=Source(uri=f"file:{model.name}")
    )


def entry(model: Path, found: ResolvedModel, columns: Columns) -> ModelEntry:
    """Entry in full: digest, what goes in, what comes out."""
    inputs, outputs = _tellable(found.inputs), _tellable(found.outputs)
    single = all(tensor.shape[:1] == (1,) for tensor in found.inputs)
    return ModelEntry(
        name=_name(model),
        framework=Runs.ONNX,
        source=Source(uri=f"file:{model.name}", sha256=found.digest),
        inputs=tuple(_input(tensor, columns.get(tensor.name)) for tensor in inputs) or None,
        outputs=tuple(_output(tensor, 0 if single else 1) for tensor in outputs) or None,
        batch=Batch.SINGLE if single else Batch.ROWS,
    )


def _tellable(tensors: Sequence[GraphTensor]) -> Sequence[GraphTensor]:
    """Give what an entry can hold; where that is not all, the graph speaks for itself."""
    fits = len(tensors) <= MOST_TENSORS and all(len(one.name) <= LONGEST_NAME for one in tensors)
    return tensors if fits else ()


def _input(tensor: GraphTensor, columns: Sequence[str] | None) -> InputTensor:
    usable = columns and len(columns) <= MOST_COLUMNS and max(map(len, columns)) <= LONGEST_NAME
    return InputTensor.model_validate(
        _described(tensor, 1) | ({"columns": tuple(columns)} if columns and usable else {})
    )


def _output(tensor: GraphTensor, rows: int) -> Tensor:
    """Describe an output; where rows go through one by one, the whole of it is the row's."""
    return Tensor.model_validate(_described(tensor, rows))


def _described(tensor: GraphTensor, rows: int) -> dict[str, object]:
    return {"name": tensor.name, "type": tensor.type, "shape": tensor.shape[rows:]}


def _name(model: Path) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", model.stem.lower()).strip("-")[:40].strip("-")
    return plain if plain[:1].isalpha() else f"model-{plain}"[:40].strip("-")


def lines(made: ModelEntry) -> str:
    """Give the entry as it stands in a manifest."""
    document = made.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    first = {key: document.pop(key) for key in ("name", "framework", "source")}
    text = yaml.safe_dump(
        {"models": [first | document]}, sort_keys=False, default_flow_style=None, width=100
    )
    return text.rstrip()
