"""Tensors by name, as the Open Inference Protocol has them, put where a plan wants them.

    name in the request              what it becomes
    a plain input's column           that tensor
    an input made of `columns`       that tensor, whole
    one of those columns             that column of it; then all of them are needed
    a hash key                       the key of each row

Every tensor has its rows first. Numbers of another type are converted where nothing is lost but
digits, as records do it. Shared by REST and gRPC: neither JSON nor protobuf is known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tiltyard_api.plan import Plan, PlanShadow, RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_engine.columns import DTYPES, Array, Column, Columns, bounds
from tiltyard_engine.errors import Refusal

DATATYPES = MappingProxyType(
    {
        TensorType.FLOAT16: "FP16",
        TensorType.FLOAT32: "FP32",
        TensorType.FLOAT64: "FP64",
        TensorType.BOOL: "BOOL",
        TensorType.STRING: "BYTES",
    }
    | {t: t.value.upper() for t in TensorType if t.value.startswith(("int", "uint"))}
)
"""The protocol's word for each of our types."""

TYPES = MappingProxyType({word: tensor_type for tensor_type, word in DATATYPES.items()})

MAX_RANK = 32
"""Dimensions that numpy is sure to take."""

Fields = dict[str, list[object]]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A tensor as metadata tells of it."""

    name: str
    datatype: str
    shape: Shape
    """With rows in front, which are any number."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What may be sent under a name."""

    name: str
    type: TensorType | None
    """None: a hash key, which may be of several types."""

    shape: Shape
    """Of one row."""

    def element(self, datatype: str) -> TensorType:
        """Our type for the datatype that a client declares.

        Raises:
            Refusal: WrongType, when it cannot become what is due here.

        """
        sent = TYPES.get(datatype)
        if sent is None:
            words = ", ".join(TYPES)
            raise self._wrong(f"has the datatype {datatype[:32]!r}, known are {words}: correct it")
        kind = DTYPES[sent].kind
        if self.type is None:
            if kind == "b":
                raise self._wrong("is a hash key and BOOL: send BYTES, an integer type or a float")
        elif sent is not self.type and not (kind in "iuf" and DTYPES[self.type].kind in "iuf"):
            raise self._wrong(f"is {datatype}, {DATATYPES[self.type]} is due: convert it")
        return sent

    @property
    def datatypes(self) -> tuple[str, ...]:
        """The words that `element` takes."""
        due = "O" if self.type is None else DTYPES[self.type].kind
        kinds = "iuf" if due in "iuf" else due + "iuf" * (self.type is None)
        return tuple(word for word, one in TYPES.items() if DTYPES[one].kind in kinds)

    def check(self, shape: Sequence[int]) -> None:
        """Hold a shape that a client declares against the plan, before anything is made of it.

        Raises:
            Refusal: ShapeMismatch or EmptyBatch.

        """
        inner = tuple(shape[1:])
        if inner == self.shape and shape and shape[0] > 0 and ANY_LENGTH not in inner:
            return
        if len(shape) > MAX_RANK or min(shape, default=0) < 0:
            raise self._misshapen(shape)
        if not shape or not (
            _agree(inner, self.shape) or (inner in ((), (1,)) and self.shape in ((), (1,)))
        ):
            raise self._misshapen(shape)
        if not shape[0]:
            message = f"input {self.name!r} has no rows: send at least one"
            raise Refusal(Reason.EMPTY_BATCH, message, field=self.name)

    def fit(self, values: Array) -> Array:
        """Give values the type and the shape that are due.

        Raises:
            Refusal: they cannot have them.

        """
        if self.shape in ((), (1,)) and values.ndim != 1 + len(self.shape):
            values = values.reshape(-1, *self.shape)
        wanted = DTYPES[self.type] if self.type else values.dtype
        if values.dtype == wanted:
            return values
        return self._convert(values, wanted)

    def _convert(self, values: Array, wanted: np.dtype[np.generic]) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            converted = values.astype(wanted)
        if wanted.kind == "f":
            if np.isinf(converted).any() and not np.array_equal(
                np.isinf(converted), np.isinf(values.astype(np.float64))
            ):
                raise self._out_of_range(values, np.isinf(converted))
            return converted
        low, high = bounds(self.type or TensorType.INT64)
        floats = values.dtype.kind == "f"
        if floats and not np.array_equal(values, np.trunc(values)):
            raise self._wrong(f"has fractions or NaN, {self._due()} is due: round it")
        # Compared as Python's own numbers where the machine's would round or wrap.
        outside = np.array([not low <= value <= high for value in values.ravel().tolist()])
        if outside.any():
            raise self._out_of_range(values, outside.reshape(values.shape))
        return converted

    def _due(self) -> str:
        return DATATYPES[self.type] if self.type else "a key"

    def _out_of_range(self, values: Array, where: Array) -> Refusal:
        row = int(np.argwhere(where)[0][0])
        value = values[tuple(np.argwhere(where)[0])]
        message = f"input {self.name!r} holds {value}, beyond what {self._due()} holds: scale it"
        return Refusal(Reason.OUT_OF_RANGE, message, field=self.name, row=row)

    def _wrong(self, what: str) -> Refusal:
        return Refusal(Reason.WRONG_TYPE, f"input {self.name!r} {what}", field=self.name)

    def _misshapen(self, shape: Sequence[int]) -> Refusal:
        want = ["rows", *("any" if n == ANY_LENGTH else n for n in self.shape)]
        have = list(shape[:MAX_RANK])
        return Refusal(
            Reason.SHAPE_MISMATCH,
            f"input {self.name!r} has the shape {have}, {want} is due: reshape it",
            field=self.name,
        )


class Signature:
    """What a plan takes and gives, by the names that clients of tensors use."""

    def __init__(self, plan: Plan, max_rows: int) -> None:
        self._request = plan.request
        self._max_rows = max_rows
        self._names = _names(plan)
        self._keys = plan.key_fields
        slots = [Slot(name, None, ()) for name in self._keys]
        for tensor in plan.request:
            slots += [Slot(column, tensor.type, ()) for column in tensor.columns if tensor.stacked]
        for tensor in plan.request:
            slots.append(Slot(self._names[tensor.key], tensor.type, tensor.shape))
        self._slots = {slot.name: slot for slot in slots}
        self.inputs = self._list_inputs()
        self.outputs = tuple(_listed_outputs(plan))

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Everything that may be sent."""
        return tuple(self._slots.values())

    def slot(self, name: str) -> Slot:
        """What may be sent under a name.

        Raises:
            Refusal: UnknownParameter, naming what there is.

        """
        slot = self._slots.get(name)
        if slot is None:
            there = ", ".join(one.name for one in self.inputs)
            message = f"there is no input {name[:64]!r} (there: {there}): remove or rename it"
            raise Refusal(Reason.UNKNOWN_PARAMETER, message, field=name[:64])
        return slot

    def place(self, given: Mapping[str, Array]) -> tuple[int, Columns, Fields]:
        """Rows, tensors by their key in the plan, and hash keys.

        Args:
            given: arrays that fit their slots, by name.

        Raises:
            Refusal: an input is missing, or their rows differ in number.

        """
        rows = self._rows(given)
        tensors: Columns = {}
        for tensor in self._request:
            whole = given.get(self._names[tensor.key])
            tensors[tensor.key] = self._stacked(tensor, given) if whole is None else whole
        if not self._keys:
            return rows, tensors, {}
        fields = {key: found for key in self._keys if (found := self._key(key, given, tensors))}
        return rows, tensors, fields

    def check_rows(self, rows: int) -> None:
        """Refuse more rows than are taken at once.

        Raises:
            Refusal: TooManyRows.

        """
        if rows > self._max_rows:
            raise Refusal(
                Reason.TOO_MANY_ROWS,
                f"{rows} rows, at most {self._max_rows} are taken: split the batch or raise"
                " --max-rows",
            )

    def _rows(self, given: Mapping[str, Array]) -> int:
        counts = [len(values) for values in given.values()]
        rows = counts[0] if counts else 0
        if counts.count(rows) != len(counts):
            told = ", ".join(f"{name} {len(values)}" for name, values in given.items())
            message = f"inputs differ in their number of rows ({told}): send as many of each"
            raise Refusal(Reason.SHAPE_MISMATCH, message)
        self.check_rows(rows)
        return rows

    def _stacked(self, tensor: RequestTensor, given: Mapping[str, Array]) -> Array:
        name = self._names[tensor.key]
        columns = tensor.columns if tensor.stacked else ()
        missing = [column for column in columns if column not in given]
        if not columns or missing:
            lacks = missing[0] if columns and len(missing) < len(columns) else name
            there = ", ".join(given) or "none"
            message = f"input {lacks!r} is missing (there: {there}): send it"
            raise Refusal(Reason.MISSING_COLUMN, message, field=lacks)
        return np.stack([given[column] for column in columns], axis=1)

    def _key(self, key: str, given: Mapping[str, Array], tensors: Columns) -> list[object] | None:
        """Values of a hash key: sent by its name, else the column of a tensor that it is."""
        sent = given.get(key)
        if sent is not None:
            return list(sent.reshape(len(sent), -1)[:, 0].tolist())
        for tensor in self._request:
            values = tensors[tensor.key]
            if tensor.stacked and key in tensor.columns and not isinstance(values, list):
                return list(values[:, tensor.columns.index(key)].tolist())
        return None

    def _list_inputs(self) -> tuple[Listed, ...]:
        taken = [
            Listed(self._names[t.key], DATATYPES[t.type], (ANY_LENGTH, *t.shape))
            for t in self._request
        ]
        columns = {column for tensor in self._request for column in tensor.columns}
        keys = [key for key in self._keys if key not in columns]
        text = DATATYPES[TensorType.STRING]
        return (*taken, *(Listed(key, text, (ANY_LENGTH,)) for key in keys))


def _names(plan: Plan) -> dict[str, str]:
    """What clients call each tensor: its column, or the input that columns are stacked into."""
    plain = {tensor.key for tensor in plan.request if not tensor.stacked}
    names = {tensor.key: tensor.key for tensor in plan.request}
    for step in reversed(plan.steps):
        for source in reversed(step.inputs):
            if source.step is None and source.key not in plain and source.input not in plain:
                names[source.key] = source.input
    return names


def _listed_outputs(plan: Plan) -> list[Listed]:
    """Outputs of the last step, and of challengers that answer."""
    outputs = [_listed(tensor, tensor.name) for tensor in plan.steps[-1].outputs]
    models = {model.name: model for model in plan.models}
    for step in plan.steps:
        if isinstance(step, PlanShadow) and step.respond:
            outputs += [
                _listed(tensor, beside(name, tensor.name))
                for name in step.challengers
                for tensor in models[name].outputs
            ]
    return outputs


def rectangular(pipeline: str, name: str, column: Column) -> Array:
    """Give an output as one tensor.

    Raises:
        Refusal: its rows differ in shape.

    """
    if isinstance(column, list):
        raise Refusal(
            Reason.SHAPE_MISMATCH,
            f"rows of output {name!r} differ in shape, which no tensor holds: send one row a"
            f" request, or use POST /pipelines/{pipeline}",
            field=name,
        )
    return column


def beside(model: str, output: str) -> str:
    """Name of a challenger's output in an answer."""
    return f"out_{model}.{output}"


def _listed(tensor: TensorSpec, name: str) -> Listed:
    return Listed(name, DATATYPES[tensor.type], (ANY_LENGTH, *tensor.shape))


def _agree(shape: Shape, wanted: Shape) -> bool:
    return shape == wanted or (
        len(shape) == len(wanted)
        and all(want in (ANY_LENGTH, have) for have, want in zip(shape, wanted, strict=True))
    )
