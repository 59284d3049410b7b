"""Compiles a Pipeline and its resolved models into a plan and a routing table, or into faults."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.names import default_salt
from tiltyard_api.plan import (
    AnyPlanStep,
    Plan,
    PlanCanary,
    PlanHashKey,
    PlanInterleave,
    PlanModel,
    PlanModelStep,
    PlanShadow,
    PlanSplit,
    PlanValidation,
)
from tiltyard_api.quantities import seconds
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.routing import (
    CanaryRouting,
    RoutingTable,
    ShadowRouting,
    SplitRouting,
    StepRouting,
)
from tiltyard_api.tensors import TensorSpec
from tiltyard_api.v1alpha1.hashkey import HashKey
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.rules import workers_fit
from tiltyard_api.v1alpha1.steps import DEFAULT_BUDGET, Shadow, Step
from tiltyard_core.canary import unbegun
from tiltyard_core.cel.check import mention_faults
from tiltyard_core.experiment import planned_experiment
from tiltyard_core.rankers import interleaved, ranker_faults
from tiltyard_core.recorded import plan_records, record_faults
from tiltyard_core.references import entries
from tiltyard_core.signature import describe, plan_model, signature_faults
from tiltyard_core.wiring import StepModel, Wiring, same_outputs

Models = Mapping[str, tuple[ModelEntry, PlanModel]]
"""What the manifest says of each model, and what the plan pins, by name."""


def compile_plan(pipeline: Pipeline, resolved: Mapping[str, ResolvedModel]) -> Plan:
    """Compile what an engine loads.

    Args:
        pipeline: a valid manifest, with the Models that it refers to.
        resolved: facts about each of its models, by name.

    Raises:
        InvalidManifest: models and steps do not fit; holds every fault.

    """
    models = _models(pipeline, resolved)
    wiring = Wiring()
    steps = tuple(_plan_steps(pipeline, models, wiring))
    experiment = planned_experiment(pipeline.spec, wiring)
    _refuse(dict.fromkeys(wiring.faults))
    records = pipeline.spec.records
    plan = Plan(
        namespace=pipeline.metadata.namespace,
        pipeline=pipeline.metadata.name,
        models=tuple(model for _, model in models.values()),
        request=tuple(wiring.request.values()),
        steps=steps,
        experiment=experiment,
        records=plan_records(records) if records else None,
        validations=_plan_validations(pipeline),
    )
    _refuse([*(record_faults(records, plan) if records else ()), *mention_faults(pipeline, plan)])
    return plan


def _refuse(faults: Iterable[Fault]) -> None:
    """Go on only where there are none."""
    found = list(faults)
    if found:
        raise InvalidManifest(found)


def _models(pipeline: Pipeline, resolved: Mapping[str, ResolvedModel]) -> Models:
    """Pin every model, if all of them are what their entries say."""
    described = entries(pipeline)
    faults = [
        fault
        for path, entry in described
        for fault in signature_faults(entry, resolved[entry.name], path)
    ]
    # Models that are objects of their own were not there when the manifest was read.
    _refuse([*faults, *workers_fit(pipeline.spec.model_dump(mode="json", by_alias=True))])
    return {one.name: (one, plan_model(one, resolved[one.name])) for _, one in described}


def _plan_steps(pipeline: Pipeline, models: Models, wiring: Wiring) -> Iterator[AnyPlanStep]:
    """Plan step after step; what does not fit is added to the faults of the wiring."""
    for index, step in enumerate(pipeline.spec.steps):
        path = f"spec.steps[{index}]"
        used = [StepModel(*models[name], where) for name, where in _answering(step, path)]
        beside = [StepModel(*models[name], where) for name, where in _beside(step, path)]
        inputs = tuple(wiring.connect(step, used + beside, path))
        if step.interleave:
            wiring.faults += ranker_faults(step.interleave, used)
            outputs = interleaved(step.interleave, used)
        else:
            wiring.faults += same_outputs(used)
            outputs = tuple(map(_without_graph_name, used[0].plan.outputs))
        wiring.faults += _compare_faults(step, used[0], beside, path)
        wiring.outputs[step.name] = {tensor.name: tensor for tensor in outputs}
        common = {"name": step.name, "inputs": inputs, "outputs": outputs}
        yield _plan_step(pipeline, step, common)


def compile_routing(
    pipeline: Pipeline,
    plan: Plan,
    uid: str,
    revision: int,
    canaries: Mapping[str, CanaryRouting] = MappingProxyType({}),
) -> RoutingTable:
    """Routing table that a manifest asks for: its weights and its sampling, in force at once.

    Args:
        pipeline: what the user says.
        plan: what it is for.
        uid: the Pipeline's.
        revision: of the table.
        canaries: how each canary is routed, by the name of its step (`canary.routing` tells). One
            that is not there has not begun: its candidate gets nothing.

    """
    steps: dict[str, StepRouting] = {}
    for step in pipeline.spec.steps:
        if step.split:
            weights = {variant.model: variant.weight for variant in step.split.variants}
            steps[step.name] = SplitRouting(weights=weights)
        elif step.shadow:
            samples = {one.model: one.sample for one in step.shadow.challengers}
            steps[step.name] = ShadowRouting(samples=samples)
        elif step.canary:
            begun = canaries.get(step.name)
            steps[step.name] = begun or unbegun(step.canary, pipeline.spec.deployment)
    table = RoutingTable(plan=plan.hash, pipeline_uid=uid, revision=revision, steps=steps)
    return table.sealed()


def _plan_validations(pipeline: Pipeline) -> tuple[PlanValidation, ...] | None:
    """Nothing where there are none, as if the field were not there."""
    validations = pipeline.spec.validations or ()
    planned = [PlanValidation(name=one.name, expression=one.expression) for one in validations]
    return tuple(planned) or None


def _without_graph_name(tensor: TensorSpec) -> TensorSpec:
    """What callers see of an output: the graph's own name is the model's affair."""
    return TensorSpec(name=tensor.name, type=tensor.type, shape=tensor.shape)


def _answering(step: Step, path: str) -> Iterator[tuple[str, str]]:
    """Models whose outputs may become the step's, with where they are named."""
    if step.model:
        yield step.model, f"{path}.model"
    elif step.split:
        for index, variant in enumerate(step.split.variants):
            yield variant.model, f"{path}.split.variants[{index}].model"
    elif step.shadow:
        yield step.shadow.champion, f"{path}.shadow.champion"
    elif step.canary:
        yield step.canary.stable, f"{path}.canary.stable"
        yield step.canary.candidate, f"{path}.canary.candidate"
    elif step.interleave:
        for index, ranker in enumerate(step.interleave.rankers):
            yield ranker, f"{path}.interleave.rankers[{index}]"


def _beside(step: Step, path: str) -> Iterator[tuple[str, str]]:
    """Models that see the step's inputs and never answer."""
    for index, challenger in enumerate(step.shadow.challengers if step.shadow else ()):
        yield challenger.model, f"{path}.shadow.challengers[{index}].model"


def _compare_faults(
    step: Step, champion: StepModel, challengers: Sequence[StepModel], path: str
) -> Iterator[Fault]:
    compare = step.shadow.compare if step.shadow else None
    if compare is None:
        return
    if compare.output not in (tensor.name for tensor in champion.plan.outputs):
        there = describe(champion.plan.outputs)
        yield Fault(f"{path}.shadow.compare.output", f"the champion gives {there}: compare one")
        return
    for challenger in challengers:
        if compare.output not in (tensor.name for tensor in challenger.plan.outputs):
            there = describe(challenger.plan.outputs)
            message = f"gives {there}, compare wants {compare.output!r}"
            remedy = "rename an output by outputs[].from, or remove compare"
            yield Fault(challenger.path, f"{message}: {remedy}")
    if compare.keep and step.shadow and step.shadow.outputs == "respond":
        remedy = "answers show both outputs: remove keep, or say outputs: log"
        yield Fault(f"{path}.shadow.compare.keep", remedy)
    if compare.threshold is not None:
        yield from _threshold_faults(compare.output, (champion, *challengers), path)


def _threshold_faults(output: str, models: Sequence[StepModel], path: str) -> Iterator[Fault]:
    for model in models:
        for tensor in model.plan.outputs:
            if tensor.name == output and not tensor.is_number:
                message = f"{model.plan.name!r} gives {output} {tensor.text()}"
                remedy = (
                    "a threshold divides one number a row; compare another output, or remove it"
                )
                yield Fault(f"{path}.shadow.compare.threshold", f"{message}: {remedy}")


def _plan_step(pipeline: Pipeline, step: Step, common: Mapping[str, object]) -> AnyPlanStep:
    salt = default_salt(pipeline.metadata.namespace, pipeline.metadata.name, step.name)
    if step.split:
        variants = [variant.model for variant in step.split.variants]
        drawn = _drawn(step.split.hash_key, salt)
        return PlanSplit.model_validate({**common, **drawn, "variants": variants})
    if step.canary:
        models = {"stable": step.canary.stable, "candidate": step.canary.candidate}
        drawn = _drawn(step.canary.hash_key, salt)
        return PlanCanary.model_validate({**common, **drawn, **models})
    if step.shadow:
        return _plan_shadow(step.shadow, common)
    if step.interleave:
        fields = step.interleave.model_dump(include={"output", "length"})
        drawn = _drawn(step.interleave.hash_key, salt) | {"variants": step.interleave.rankers}
        return PlanInterleave.model_validate({**common, **drawn, **fields})
    return PlanModelStep.model_validate({**common, "model": step.model})


def _drawn(key: HashKey | None, default: str) -> dict[str, object]:
    """By what a step draws."""
    return {
        "hash_key": _hash_key(key) if key else None,
        "salt": key.salt if key and key.salt else default,
    }


def _hash_key(key: HashKey) -> PlanHashKey:
    return PlanHashKey(
        field=key.field, header=key.header.lower() if key.header else None, missing=key.missing
    )


def _plan_shadow(shadow: Shadow, common: Mapping[str, object]) -> PlanShadow:
    return PlanShadow.model_validate(
        {
            **common,
            "champion": shadow.champion,
            "challengers": [one.model for one in shadow.challengers],
            "respond": shadow.outputs == "respond",
            "budget": seconds(shadow.budget or DEFAULT_BUDGET),
            "timeout": seconds(shadow.timeout),
            "compare_output": shadow.compare.output if shadow.compare else None,
            "tolerance": shadow.compare.tolerance if shadow.compare else 0,
            "threshold": shadow.compare.threshold if shadow.compare else None,
            "keep": (shadow.compare.keep or None) if shadow.compare else None,
        }
    )
