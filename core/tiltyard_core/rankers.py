"""Whether two models give lists that can be interleaved, and what comes of it."""

from collections.abc import Iterator, Sequence

from tiltyard_api.faults import Fault
from tiltyard_api.plan import PlanModel
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_api.v1alpha1.interleave import TEAM_SUFFIX, Interleave
from tiltyard_core.signature import describe
from tiltyard_core.wiring import StepModel


def ranker_faults(interleave: Interleave, rankers: Sequence[StepModel]) -> Iterator[Fault]:
    """Both give a list of items, and of the same kind."""
    kinds: dict[str, TensorType] = {}
    for ranker in rankers:
        ranked = _ranked(interleave, ranker.plan)
        if ranked is None:
            there = describe(ranker.plan.outputs)
            message = f"gives {there}, but no {interleave.output!r}"
            yield Fault(ranker.path, f"{message}: name its list so by outputs[].from")
        elif len(ranked.shape) != 1 or not _names_items(ranked.type):
            message = f"gives {ranked.name!r} as {ranked.text()}"
            yield Fault(ranker.path, f"{message}: a ranking is a list of texts or integers")
        else:
            kinds[ranker.plan.name] = ranked.type
    if len(set(kinds.values())) > 1:
        named = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        message = f"items are of different types ({named}): make them the same"
        yield Fault(rankers[-1].path, message)


def interleaved(interleave: Interleave, rankers: Sequence[StepModel]) -> tuple[TensorSpec, ...]:
    """Outputs of the step: the list, and whose each place is."""
    ranked = _ranked(interleave, rankers[0].plan)
    items = ranked.type if ranked else TensorType.STRING
    name, shape = interleave.output, (ANY_LENGTH,)
    return (
        TensorSpec(name=name, type=items, shape=shape),
        TensorSpec(name=f"{name}{TEAM_SUFFIX}", type=TensorType.STRING, shape=shape),
    )


def _ranked(interleave: Interleave, model: PlanModel) -> TensorSpec | None:
    return next((one for one in model.outputs if one.name == interleave.output), None)


def _names_items(kind: TensorType) -> bool:
    return kind is TensorType.STRING or "int" in kind
