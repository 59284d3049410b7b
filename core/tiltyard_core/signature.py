"""What goes into a model and what comes out, agreed between its manifest and its graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tiltyard_api.base import canonical
from tiltyard_api.faults import Fault
from tiltyard_api.names import model_version
from tiltyard_api.plan import PlanModel, PlanTensor
from tiltyard_api.quantities import quantity_bytes, seconds
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_api.v1alpha1.models import (
    DEFAULT_MEMORY,
    DEFAULT_WORKERS,
    Batch,
    Framework,
    InputTensor,
    ModelEntry,
    Tensor,
)

CONFIGURATION = frozenset(
    ("framework", "inputs", "outputs", "batch", "threads", "timeout", "memory", "workers")
)
"""Fields of an entry that make another version of the same bytes."""


def plan_model(entry: ModelEntry, resolved: ResolvedModel) -> PlanModel:
    """Pin a model. `signature_faults` must have found nothing."""
    single = runs_single(entry, resolved)
    python = entry.framework is Framework.PYTHON
    row = _row_of(entry, resolved)
    return PlanModel(
        name=entry.name,
        framework=entry.framework,
        digest=resolved.digest,
        size=resolved.size,
        version=version_of(entry, resolved.digest),
        inputs=tuple(_tensors(entry.inputs, resolved.inputs, row.inputs)),
        outputs=tuple(_tensors(entry.outputs, resolved.outputs, row.outputs)),
        batch=Batch.SINGLE if single else Batch.ROWS,
        row_dimension=has_row_dimension(entry, resolved),
        threads=entry.threads,
        timeout=seconds(entry.timeout),
        memory=quantity_bytes(entry.memory or DEFAULT_MEMORY) if python else None,
        workers=(entry.workers or DEFAULT_WORKERS) if python else None,
    )


def version_of(entry: ModelEntry, digest: str) -> str:
    """Version of a model: made of its name, its bytes and how it is run."""
    configuration = entry.model_copy(
        update=dict.fromkeys(set(ModelEntry.model_fields) - CONFIGURATION)
    )
    return model_version(entry.name, digest, canonical(configuration).decode())


def declared(entry: ModelEntry) -> tuple[tuple[GraphTensor, ...], tuple[GraphTensor, ...]]:
    """Inputs and outputs of a Python model, which has no graph to ask: as its entry says."""
    rows = () if entry.batch is Batch.SINGLE else (ANY_LENGTH,)
    return (
        tuple(_declared(tensor, (ANY_LENGTH,)) for tensor in entry.inputs or ()),
        tuple(_declared(tensor, rows) for tensor in entry.outputs or ()),
    )


def _declared(tensor: Tensor, rows: tuple[int, ...]) -> GraphTensor:
    """One tensor; without a shape it is a scalar a row."""
    columns = tensor.columns if isinstance(tensor, InputTensor) else None
    shape = (len(columns),) if columns else tensor.shape or ()
    return GraphTensor(name=tensor.from_ or tensor.name, type=tensor.type, shape=(*rows, *shape))


def runs_single(entry: ModelEntry, resolved: ResolvedModel) -> bool:
    """Whether rows go through one by one: asked for, or the graph takes one row only."""
    first = [tensor.shape[0] for tensor in resolved.inputs if tensor.shape]
    return entry.batch is Batch.SINGLE or 1 in first


def has_row_dimension(entry: ModelEntry, resolved: ResolvedModel) -> bool:
    """Whether every input of the graph has a first dimension that holds rows.

    A graph that takes one image of any size, [-1, -1, 3], looks as if it did: a declared shape with
    as many dimensions tells.
    """
    declared = {tensor.from_ or tensor.name: tensor.shape for tensor in entry.inputs or ()}
    single = runs_single(entry, resolved)
    return all(
        tensor.shape
        and tensor.shape[0] in (1, ANY_LENGTH)
        and not (single and len(declared.get(tensor.name) or ()) == len(tensor.shape))
        for tensor in resolved.inputs
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """How many dimensions of the graph's tensors come before those of one row."""

    inputs: int
    outputs: int


def _row_of(entry: ModelEntry, resolved: ResolvedModel) -> _Row:
    if not runs_single(entry, resolved):
        return _Row(inputs=1, outputs=1)
    return _Row(inputs=1 if has_row_dimension(entry, resolved) else 0, outputs=0)


def signature_faults(entry: ModelEntry, resolved: ResolvedModel, path: str) -> Iterator[Fault]:
    """Everything that keeps a graph from being served under this entry."""
    single = runs_single(entry, resolved)
    row = _row_of(entry, resolved)
    for direction, graph, declared, drop in (
        ("inputs", resolved.inputs, entry.inputs, row.inputs),
        ("outputs", resolved.outputs, entry.outputs, row.outputs),
    ):
        where = f"{path}.{direction}"
        if not graph:
            yield Fault(f"{path}.source", f"the graph has no {direction}: export it with some")
        yield from _declared_faults(graph, declared, where, drop)
        wanted = {tensor.from_ or tensor.name for tensor in declared or ()}
        for tensor in graph:
            if declared is None or tensor.name in wanted:
                yield from _unservable(tensor, where, single=single)
    yield from _missing_inputs(entry, resolved, path)
    yield from _column_faults(entry, resolved, path)


def _unservable(tensor: GraphTensor, path: str, *, single: bool) -> Iterator[Fault]:
    """Tensors of the graph that no request can carry."""
    if tensor.type not in _TYPES:
        remedy = "export plain tensors (scikit-learn: zipmap=False), or list the outputs to use"
        yield Fault(path, f"the graph's {tensor.name!r} is {tensor.type}, not a tensor: {remedy}")
    elif not single and not tensor.shape:
        remedy = "say batch: single"
        yield Fault(path, f"the graph's {tensor.name!r} has no dimension for rows: {remedy}")
    elif not single and tensor.shape[0] not in (ANY_LENGTH, 1):
        remedy = "export it with an open first dimension, or say batch: single"
        rows = tensor.shape[0]
        yield Fault(path, f"the graph's {tensor.name!r} takes exactly {rows} rows: {remedy}")


def _declared_faults(
    graph: Sequence[GraphTensor], declared: Sequence[Tensor] | None, path: str, drop: int
) -> Iterator[Fault]:
    """What the manifest says of a tensor and the graph denies."""
    by_name = {tensor.name: tensor for tensor in graph}
    taken: set[str] = set()
    for index, tensor in enumerate(declared or ()):
        where = f"{path}[{index}]"
        name = tensor.from_ or tensor.name
        source = by_name.get(name)
        if name in taken:
            yield Fault(where, f"the graph's {name!r} stands here twice: remove one")
        taken.add(name)
        if source is None:
            field = "from" if tensor.from_ else "name"
            remedy = f"(there: {', '.join(by_name)}): set `from` to one of them"
            yield Fault(f"{where}.{field}", f"the graph has no {name!r} {remedy}")
        elif source.type in _TYPES:
            yield from _disagreements(tensor, source, where, drop)


_TYPES = set(TensorType)


def _disagreements(tensor: Tensor, source: GraphTensor, path: str, drop: int) -> Iterator[Fault]:
    if source.type != tensor.type:
        yield Fault(f"{path}.type", f"is {tensor.type}, the graph says {source.type}: change it")
    row = source.shape[drop:]
    if tensor.shape is not None and not _fits(tensor.shape, row):
        message = f"is {list(tensor.shape)}, the graph says {list(row)} for one row: change it"
        yield Fault(f"{path}.shape", message)


def _fits(declared: Sequence[int], graph: Sequence[int]) -> bool:
    """Whether a declared shape agrees with the graph's, both of one row."""
    return len(declared) == len(graph) and all(
        a == b or ANY_LENGTH in (a, b) for a, b in zip(declared, graph, strict=True)
    )


def _missing_inputs(entry: ModelEntry, resolved: ResolvedModel, path: str) -> Iterator[Fault]:
    if entry.inputs is None:
        return
    given = {tensor.from_ or tensor.name for tensor in entry.inputs}
    for tensor in resolved.inputs:
        if tensor.name not in given:
            yield Fault(f"{path}.inputs", f"the graph also needs {tensor.name!r}: add it")


def _column_faults(entry: ModelEntry, resolved: ResolvedModel, path: str) -> Iterator[Fault]:
    """Stacked columns that do not make the tensor the graph wants."""
    by_name = {tensor.name: tensor for tensor in resolved.inputs}
    for index, tensor in enumerate(entry.inputs or ()):
        source = by_name.get(tensor.from_ or tensor.name)
        if tensor.columns is None or source is None:
            continue
        where = f"{path}.inputs[{index}].columns"
        if not _fits((len(tensor.columns),), source.shape[1:]):
            message = f"{len(tensor.columns)} columns make [rows, {len(tensor.columns)}]"
            yield Fault(where, f"{message}, the graph wants {list(source.shape)}: list them all")
        elif tensor.shape and not _fits((len(tensor.columns),), tensor.shape):
            message = f"{len(tensor.columns)} columns do not make the shape {list(tensor.shape)}"
            yield Fault(where, f"{message}: remove the shape")
        if len(set(tensor.columns)) < len(tensor.columns):
            yield Fault(where, "a column stands here twice: remove one")
        if tensor.type is TensorType.STRING:
            yield Fault(where, "texts are not stacked: give each column an input of its own")


def _tensors(
    declared: Sequence[Tensor] | None, graph: Sequence[GraphTensor], drop: int
) -> Iterator[PlanTensor]:
    """The agreed tensors, in the manifest's order where it gives one."""
    by_name = {tensor.name: tensor for tensor in graph}
    if declared is None:
        for tensor in graph:
            yield _plan_tensor(tensor.name, tensor, tensor.shape[drop:])
        return
    for wanted in declared:
        source = by_name[wanted.from_ or wanted.name]
        shape = source.shape[drop:]
        if isinstance(wanted, InputTensor) and wanted.columns:
            shape = (len(wanted.columns),)
        elif wanted.shape is not None:
            shape = tuple(
                w if s == ANY_LENGTH else s for w, s in zip(wanted.shape, shape, strict=True)
            )
        yield _plan_tensor(wanted.name, source, shape)


def _plan_tensor(name: str, graph: GraphTensor, shape: Sequence[int]) -> PlanTensor:
    return PlanTensor(
        name=name, type=TensorType(graph.type), shape=tuple(shape), graph_name=graph.name
    )


def describe(tensors: Sequence[TensorSpec]) -> str:
    """Names of tensors for a message."""
    return ", ".join(tensor.name for tensor in tensors) or "nothing"
