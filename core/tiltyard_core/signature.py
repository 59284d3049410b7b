"""What goes into a model and what comes out, agreed between its manifest and its graph."""

from collections.abc import Iterator, Sequence

from tiltyard_api.base import canonical
from tiltyard_api.faults import Fault
from tiltyard_api.names import model_version
from tiltyard_api.plan import PlanModel, PlanTensor
from tiltyard_api.quantities import seconds
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_api.v1alpha1.models import Batch, InputTensor, ModelEntry, Tensor

CONFIGURATION = {"framework", "inputs", "outputs", "batch", "threads", "timeout"}
"""Fields of an entry that make another version of the same bytes."""


def plan_model(entry: ModelEntry, resolved: ResolvedModel) -> PlanModel:
    """Pin a model. `signature_faults` must have found nothing."""
    single = runs_single(entry, resolved)
    rows = has_row_dimension(resolved)
    configuration = entry.model_copy(
        update=dict.fromkeys(set(ModelEntry.model_fields) - CONFIGURATION)
    )
    drop = 0 if single and not rows else 1
    return PlanModel(
        name=entry.name,
        framework=entry.framework,
        digest=resolved.digest,
        size=resolved.size,
        version=model_version(entry.name, resolved.digest, canonical(configuration).decode()),
        inputs=tuple(_tensors(entry.inputs, resolved.inputs, drop)),
        outputs=tuple(_tensors(entry.outputs, resolved.outputs, 0 if single else 1)),
        batch=Batch.SINGLE if single else Batch.ROWS,
        row_dimension=rows,
        threads=entry.threads,
        timeout=seconds(entry.timeout),
    )


def runs_single(entry: ModelEntry, resolved: ResolvedModel) -> bool:
    """Whether rows go through one by one: asked for, or the graph takes one row only."""
    first = [tensor.shape[0] for tensor in resolved.inputs if tensor.shape]
    return entry.batch is Batch.SINGLE or 1 in first


def has_row_dimension(resolved: ResolvedModel) -> bool:
    """Whether every input of the graph has a first dimension that can hold one row."""
    return all(tensor.shape and tensor.shape[0] in (1, ANY_LENGTH) for tensor in resolved.inputs)


def signature_faults(entry: ModelEntry, resolved: ResolvedModel, path: str) -> Iterator[Fault]:
    """Everything that keeps a graph from being served under this entry."""
    single = runs_single(entry, resolved)
    for direction, graph, declared in (
        ("inputs", resolved.inputs, entry.inputs),
        ("outputs", resolved.outputs, entry.outputs),
    ):
        where = f"{path}.{direction}"
        yield from _declared_faults(graph, declared, where)
        wanted = {tensor.from_ or tensor.name for tensor in declared or ()}
        for tensor in graph:
            if declared is None or tensor.name in wanted:
                yield from _unservable(tensor, where, single=single)
    yield from _missing_inputs(entry, resolved, path)
    yield from _column_faults(entry, resolved, path)


def _unservable(tensor: GraphTensor, path: str, *, single: bool) -> Iterator[Fault]:
    """Tensors of the graph that no request can carry."""
    if tensor.type not in set(TensorType):
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
    graph: Sequence[GraphTensor], declared: Sequence[Tensor] | None, path: str
) -> Iterator[Fault]:
    """What the manifest says of a tensor and the graph denies."""
    by_name = {tensor.name: tensor for tensor in graph}
    names: set[str] = set()
    for index, tensor in enumerate(declared or ()):
        where = f"{path}[{index}]"
        source = by_name.get(tensor.from_ or tensor.name)
        if tensor.name in names:
            yield Fault(f"{where}.name", f"{tensor.name!r} stands here twice: rename or remove one")
        names.add(tensor.name)
        if source is None:
            known = ", ".join(by_name)
            yield Fault(where, f"the graph has no such tensor (there: {known}): set `from`")
        elif source.type != tensor.type:
            yield Fault(f"{where}.type", f"the graph says {source.type}: change the type")
        elif tensor.shape is not None and not _fits(tensor.shape, source.shape):
            yield Fault(f"{where}.shape", f"the graph says {list(source.shape)}, rows included")


def _fits(declared: Sequence[int], graph: Sequence[int]) -> bool:
    """Whether one row's declared shape agrees with the graph's, with or without its rows."""
    return any(
        len(declared) == len(lengths)
        and all(a == b or ANY_LENGTH in (a, b) for a, b in zip(declared, lengths, strict=True))
        for lengths in (graph[1:], graph)
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
        if len(source.shape) != 2 or source.shape[1] not in (len(tensor.columns), ANY_LENGTH):
            message = f"{len(tensor.columns)} columns make [rows, {len(tensor.columns)}]"
            yield Fault(where, f"{message}, the graph wants {list(source.shape)}: list them all")
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
        if wanted.shape is not None and len(wanted.shape) == len(shape):
            shape = tuple(
                w if s == ANY_LENGTH else s for w, s in zip(wanted.shape, shape, strict=True)
            )
        elif isinstance(wanted, InputTensor) and wanted.columns:
            shape = (len(wanted.columns),)
        yield _plan_tensor(wanted.name, source, shape)


def _plan_tensor(name: str, graph: GraphTensor, shape: Sequence[int]) -> PlanTensor:
    return PlanTensor(
        name=name, type=TensorType(graph.type), shape=tuple(shape), graph_name=graph.name
    )


def describe(tensors: Sequence[TensorSpec]) -> str:
    """Names of tensors for a message."""
    return ", ".join(tensor.name for tensor in tensors) or "nothing"
