"""How the steps of a Pipeline fit each other: by name, type and shape."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tiltyard_api.faults import Fault
from tiltyard_api.plan import PlanModel, RequestTensor, TensorSource
from tiltyard_api.tensors import TensorSpec
from tiltyard_api.v1alpha1.models import InputTensor, ModelEntry
from tiltyard_api.v1alpha1.steps import Step
from tiltyard_core.signature import describe


@dataclass(frozen=True, slots=True)
class StepModel:
    """A model that a step runs: what the manifest says, what the plan pins, where it is named."""

    entry: ModelEntry
    plan: PlanModel
    path: str


@dataclass(slots=True)
class Wiring:
    """Collects, step by step, what is taken from where."""

    request: dict[str, RequestTensor] = field(default_factory=dict)
    outputs: dict[str, Mapping[str, TensorSpec]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def connect(self, step: Step, models: Sequence[StepModel], path: str) -> list[TensorSource]:
        """Find every input that the models of a step need; what is not there is a fault."""
        sources: dict[str, TensorSource] = {}
        for model in models:
            declared = {tensor.name: tensor for tensor in model.entry.inputs or ()}
            for tensor in model.plan.inputs:
                source = self._source(step, tensor, declared.get(tensor.name), model, path)
                known = sources.setdefault(tensor.name, source)
                if known != source:
                    message = f"{model.entry.name!r} makes {tensor.name!r} of other columns"
                    self._fault(model.path, f"{message}: variants share their inputs")
        self._unused_mappings(step, sources, path)
        return list(sources.values())

    def _source(
        self,
        step: Step,
        tensor: TensorSpec,
        declared: InputTensor | None,
        model: StepModel,
        path: str,
    ) -> TensorSource:
        mapped = (step.inputs or {}).get(tensor.name)
        if mapped:
            origin, _, name = mapped.partition(".")
            where = f"{path}.inputs.{tensor.name}"
        else:
            origin, name = next(reversed(self.outputs), "request"), tensor.name
            where = model.path
        if origin != "request":
            self._take_output(origin, name, tensor, where)
            return TensorSource(input=tensor.name, step=origin, key=name)
        columns = declared.columns if declared and not mapped else None
        return TensorSource(
            input=tensor.name, step=None, key=self._take_column(tensor, name, columns, where)
        )

    def _take_output(self, origin: str, name: str, tensor: TensorSpec, where: str) -> None:
        given = self.outputs.get(origin, {})
        if name not in given:
            there = describe(list(given.values()))
            remedy = f"map it: inputs: {{{tensor.name}: {origin}.OUTPUT or request.COLUMN}}"
            self._fault(
                where, f"step {origin!r} does not give {name!r} (it gives {there}): {remedy}"
            )
        elif not tensor.takes(given[name]):
            wanted, got = tensor.text(), given[name].text()
            remedy = f"map {tensor.name!r} to another output or put a step between"
            self._fault(
                where, f"needs {tensor.name!r} as {wanted}, {origin}.{name} is {got}: {remedy}"
            )

    def _take_column(
        self, tensor: TensorSpec, name: str, columns: Sequence[str] | None, where: str
    ) -> str:
        wanted = RequestTensor(
            key=name if columns is None else f"{tensor.type}[{','.join(columns)}]",
            type=tensor.type,
            shape=tensor.shape,
            columns=tuple(columns or (name,)),
            stacked=columns is not None,
        )
        known = self.request.setdefault(wanted.key, wanted)
        if known != wanted:
            self._fault(
                where,
                f"reads request column {name!r} as {tensor.text()}, another model reads it as"
                f" {known.type}{list(known.shape)}: map one of them to a column of its own",
            )
        return wanted.key

    def _unused_mappings(self, step: Step, sources: Mapping[str, object], path: str) -> None:
        for name in step.inputs or {}:
            if name not in sources:
                known = ", ".join(sources)
                self._fault(
                    f"{path}.inputs.{name}", f"no model of the step takes it (there: {known})"
                )

    def _fault(self, path: str, message: str) -> None:
        self.faults.append(Fault(path, message))


def same_outputs(models: Sequence[StepModel]) -> Iterator[Fault]:
    """Variants of a step must give the same, since the next step cannot tell them apart."""
    first = models[0].plan
    for model in models[1:]:
        mine = {tensor.name: tensor.text() for tensor in model.plan.outputs}
        theirs = {tensor.name: tensor.text() for tensor in first.outputs}
        if mine != theirs:
            yield Fault(
                model.path,
                f"gives {_listed(mine)} but {first.name!r} gives {_listed(theirs)}:"
                " variants of a step need the same outputs; rename them by outputs[].from",
            )


def _listed(outputs: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in outputs.items())
