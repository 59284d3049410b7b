"""What a schema cannot say of Pipelines and Models, checked on the document as it was written.

The rules look at plain data, not at validated objects: so a manifest with a misspelt field still
hears of its unknown model, and every fault is reported in one go. A value of the wrong type is
passed over here; the schema names it. An empty field (null) counts as absent, as the API server has
it.
"""

from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.quantities import quantity_bytes
from tiltyard_api.v1alpha1.canaryrules import canaries_fit, of_canary, of_hash_key
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.experimentrules import of_experiment
from tiltyard_api.v1alpha1.models import CONFIGURED, ENGINE_MEMORY, Framework, workers_bytes
from tiltyard_api.v1alpha1.podrules import of_deployment
from tiltyard_api.v1alpha1.recordrules import of_records
from tiltyard_api.v1alpha1.steps import BUDGET_UNUSED, IS_THE_REQUEST, KINDS, NOTHING_SERVED
from tiltyard_api.v1alpha1.validations import IS_RESERVED, RESERVED
from tiltyard_api.v1alpha1.written import Data, entries, mapping, present, repeated, texts


def of_model(document: Data) -> Iterator[Fault]:
    """Every rule that a Model breaks."""
    yield from _described(mapping(document, "spec"), "spec")


def of_pipeline(document: Data) -> Iterator[Fault]:
    """Every rule that a Pipeline breaks."""
    spec = mapping(document, "spec")
    models = {name for _, model in entries(spec, "models") for name in texts(model, "name")}
    yield from repeated(spec, "models", "name", "spec")
    for index, model in entries(spec, "models"):
        yield from _described_once(model, f"spec.models[{index}]")
        yield from _described(model, f"spec.models[{index}]")
    yield from workers_fit(spec)
    yield from of_deployment(mapping(spec, "deployment"), "spec.deployment")
    yield from of_records(mapping(spec, "records"), "spec.records")
    yield from repeated(spec, "steps", "name", "spec")
    yield from canaries_fit(spec)
    yield from of_experiment(spec)
    yield from _validations(spec)
    earlier: set[str] = set()
    for index, step in entries(spec, "steps"):
        path = f"spec.steps[{index}]"
        yield from _one_kind(step, path)
        yield from _known_models(step, models, path)
        yield from _split(mapping(step, "split"), f"{path}.split")
        yield from _shadow(mapping(step, "shadow"), f"{path}.shadow")
        yield from of_canary(mapping(step, "canary"), f"{path}.canary")
        yield from _interleave(mapping(step, "interleave"), f"{path}.interleave")
        yield from _references(mapping(step, "inputs"), earlier, f"{path}.inputs")
        if step.get("name") == "request":
            yield Fault(f"{path}.name", IS_THE_REQUEST)
        earlier.update(texts(step, "name"))


def _described_once(model: Data, path: str) -> Iterator[Fault]:
    """A model is described in place, or by a Model that it refers to."""
    if not present(model, "modelRef"):
        for field in ("framework", "source"):
            if not present(model, field):
                yield Fault(f"{path}.{field}", "is required: add it, or name a Model by modelRef")
        return
    for field in ("framework", "source"):
        if present(model, field):
            yield Fault(f"{path}.{field}", "stands in the Model that modelRef names: keep one")
    for field, default in CONFIGURED.items():
        if present(model, field) and model[field] != default:
            yield Fault(f"{path}.{field}", "is said by the Model that modelRef names: set it there")


def _described(model: Data, path: str) -> Iterator[Fault]:
    """What holds of a model, wherever it is described."""
    yield from _python(model, path)
    for field in ("inputs", "outputs"):
        yield from repeated(model, field, "name", path)


def _python(model: Data, path: str) -> Iterator[Fault]:
    """A Python model says what goes in and out, and it alone has workers."""
    if model.get("framework") == Framework.PYTHON:
        for field, what in (("inputs", "goes in"), ("outputs", "comes out")):
            if not present(model, field):
                message = f"is required for a Python model: list the name and type of what {what}"
                yield Fault(f"{path}.{field}", message)
    elif present(model, "framework"):
        for field in ("memory", "workers"):
            if present(model, field):
                message = "is for Python models, which run in workers of their own: remove it"
                yield Fault(f"{path}.{field}", message)


def workers_fit(spec: Data) -> Iterator[Fault]:
    """The engine and the workers of Python models have the memory of a pod together."""
    own = quantity_bytes(ENGINE_MEMORY)
    try:
        wanted = sum(
            workers_bytes(model.get("memory"), model.get("workers"))
            for _, model in entries(spec, "models")
            if model.get("framework") == Framework.PYTHON
        )
        given = quantity_bytes(mapping(spec, "deployment").get("memory") or Deployment().memory)
    except (TypeError, ValueError):
        return  # the schema names what is no quantity
    if wanted and wanted + own > given:
        needed = -(-(wanted + own) // 2**20)
        message = f"workers of Python models and {ENGINE_MEMORY} for the engine need {needed}Mi"
        yield Fault("spec.deployment.memory", f"{message}: raise it, or lower memory or workers")


def _one_kind(step: Data, path: str) -> Iterator[Fault]:
    kinds = [kind for kind in KINDS if step.get(kind) is not None]
    if len(kinds) > 1:
        yield Fault(path, f"has {' and '.join(kinds)}: keep one, write a step for each other")
    if not kinds and set(step) <= {"name", "inputs", *KINDS}:
        yield Fault(path, f"says nothing to do: add one of {', '.join(KINDS)}")


def _known_models(step: Data, models: set[str], path: str) -> Iterator[Fault]:
    for where, name in _mentions(step, path):
        if models and name not in models:
            listed = ", ".join(sorted(models))
            yield Fault(where, f"no model {name!r} in spec.models (there: {listed}): add it")


def _mentions(step: Data, path: str) -> Iterator[tuple[str, str]]:
    """Every place of a step that names a model."""
    for name in texts(step, "model"):
        yield f"{path}.model", name
    for index, variant in entries(mapping(step, "split"), "variants"):
        for name in texts(variant, "model"):
            yield f"{path}.split.variants[{index}].model", name
    for role in ("stable", "candidate"):
        for name in texts(mapping(step, "canary"), role):
            yield f"{path}.canary.{role}", name
    for index, name in enumerate(_rankers(mapping(step, "interleave"))):
        yield f"{path}.interleave.rankers[{index}]", name
    shadow = mapping(step, "shadow")
    for name in texts(shadow, "champion"):
        yield f"{path}.shadow.champion", name
    for index, challenger in entries(shadow, "challengers"):
        for name in texts(challenger, "model"):
            yield f"{path}.shadow.challengers[{index}].model", name


def _split(split: Data, path: str) -> Iterator[Fault]:
    yield from repeated(split, "variants", "model", path)
    variants = [variant for _, variant in entries(split, "variants")]
    if variants and all(variant.get("weight") == 0 for variant in variants):
        yield Fault(f"{path}.variants", NOTHING_SERVED)
    yield from of_hash_key(split, path)


def _rankers(interleave: Data) -> list[str]:
    """Names of rankers, where they are names."""
    rankers = interleave.get("rankers")
    named = isinstance(rankers, list) and all(isinstance(one, str) for one in rankers)
    return list(rankers) if named and rankers else []


def _interleave(interleave: Data, path: str) -> Iterator[Fault]:
    rankers = _rankers(interleave)
    if len(rankers) == 2 and rankers[0] == rankers[1]:
        yield Fault(f"{path}.rankers[1]", "is the other ranker: name another model")
    yield from of_hash_key(interleave, path)


def _shadow(shadow: Data, path: str) -> Iterator[Fault]:
    yield from repeated(shadow, "challengers", "model", path)
    for index, challenger in entries(shadow, "challengers"):
        if present(shadow, "champion") and challenger.get("model") == shadow["champion"]:
            where = f"{path}.challengers[{index}].model"
            yield Fault(where, "is the champion, which cannot challenge itself: remove it")
    if present(shadow, "budget") and shadow.get("outputs") != "respond":
        yield Fault(f"{path}.budget", BUDGET_UNUSED)


def _validations(spec: Data) -> Iterator[Fault]:
    yield from repeated(spec, "validations", "name", "spec")
    for index, validation in entries(spec, "validations"):
        if validation.get("name") == RESERVED:
            yield Fault(f"spec.validations[{index}].name", IS_RESERVED)


def _references(inputs: Data, earlier: set[str], path: str) -> Iterator[Fault]:
    for name in inputs:
        step, dot, _ = next(texts(inputs, name), "").partition(".")
        if dot and step != "request" and step not in earlier:
            known = ", ".join(sorted(earlier | {"request"}))
            yield Fault(f"{path}.{name}", f"no earlier step {step!r}: use one of {known}")
