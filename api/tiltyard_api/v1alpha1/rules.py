"""What a schema cannot say of Pipelines and Models, checked on the document as it was written.

The rules look at plain data, not at validated objects: so a manifest with a misspelt field still
hears of its unknown model, and every fault is reported in one go. A value of the wrong type is
passed over here; the schema names it. An empty field (null) counts as absent, as the API server has
it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tiltyard_api.faults import Fault
from tiltyard_api.v1alpha1.models import CONFIGURED
from tiltyard_api.v1alpha1.steps import KINDS

Data = Mapping[str, Any]


def of_model(document: Data) -> Iterator[Fault]:
    """Every rule that a Model breaks."""
    del document
    yield from ()


def of_pipeline(document: Data) -> Iterator[Fault]:
    """Every rule that a Pipeline breaks."""
    spec = _mapping(document, "spec")
    models = {name for _, model in _entries(spec, "models") for name in _texts(model, "name")}
    yield from _repeated(spec, "models", "name", "spec")
    for index, model in _entries(spec, "models"):
        yield from _described_once(model, f"spec.models[{index}]")
    yield from _repeated(spec, "steps", "name", "spec")
    earlier: set[str] = set()
    for index, step in _entries(spec, "steps"):
        path = f"spec.steps[{index}]"
        yield from _one_kind(step, path)
        yield from _known_models(step, models, path)
        yield from _split(_mapping(step, "split"), f"{path}.split")
        yield from _shadow(_mapping(step, "shadow"), f"{path}.shadow")
        yield from _references(_mapping(step, "inputs"), earlier, f"{path}.inputs")
        if step.get("name") == "request":
            yield Fault(f"{path}.name", "'request' means the request in inputs: rename the step")
        earlier.update(_texts(step, "name"))


def _described_once(model: Data, path: str) -> Iterator[Fault]:
    """A model is described in place, or by a Model that it refers to."""
    if not _present(model, "modelRef"):
        for field in ("framework", "source"):
            if not _present(model, field):
                yield Fault(f"{path}.{field}", "is required: add it, or name a Model by modelRef")
        return
    for field in ("framework", "source"):
        if _present(model, field):
            yield Fault(f"{path}.{field}", "stands in the Model that modelRef names: keep one")
    for field, default in CONFIGURED.items():
        if _present(model, field) and model[field] != default:
            yield Fault(f"{path}.{field}", "is said by the Model that modelRef names: set it there")


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
    for name in _texts(step, "model"):
        yield f"{path}.model", name
    for index, variant in _entries(_mapping(step, "split"), "variants"):
        for name in _texts(variant, "model"):
            yield f"{path}.split.variants[{index}].model", name
    shadow = _mapping(step, "shadow")
    for name in _texts(shadow, "champion"):
        yield f"{path}.shadow.champion", name
    for index, challenger in _entries(shadow, "challengers"):
        for name in _texts(challenger, "model"):
            yield f"{path}.shadow.challengers[{index}].model", name


def _split(split: Data, path: str) -> Iterator[Fault]:
    yield from _repeated(split, "variants", "model", path)
    variants = [variant for _, variant in _entries(split, "variants")]
    if variants and all(variant.get("weight") == 0 for variant in variants):
        yield Fault(f"{path}.variants", "all weights are 0: nothing could be served; raise one")
    key = split.get("hashKey")
    if isinstance(key, Mapping) and _present(key, "field") == _present(key, "header"):
        remedy = "give exactly one of field and header: where the key comes from"
        yield Fault(f"{path}.hashKey", remedy)


def _shadow(shadow: Data, path: str) -> Iterator[Fault]:
    yield from _repeated(shadow, "challengers", "model", path)
    for index, challenger in _entries(shadow, "challengers"):
        if _present(shadow, "champion") and challenger.get("model") == shadow["champion"]:
            where = f"{path}.challengers[{index}].model"
            yield Fault(where, "is the champion, which cannot challenge itself: remove it")
    if _present(shadow, "budget") and shadow.get("outputs") != "respond":
        remedy = "only an answer that waits has a budget: add outputs: respond"
        yield Fault(f"{path}.budget", remedy)


def _references(inputs: Data, earlier: set[str], path: str) -> Iterator[Fault]:
    for name in inputs:
        step, dot, _ = next(_texts(inputs, name), "").partition(".")
        if dot and step != "request" and step not in earlier:
            known = ", ".join(sorted(earlier | {"request"}))
            yield Fault(f"{path}.{name}", f"no earlier step {step!r}: use one of {known}")


def _repeated(parent: Data, key: str, by: str, path: str) -> Iterator[Fault]:
    """Entries of a list that carry a name which an earlier entry has."""
    seen: Counter[str] = Counter()
    for index, entry in _entries(parent, key):
        for name in _texts(entry, by):
            seen[name] += 1
            if seen[name] == 2:
                where = f"{path}.{key}[{index}].{by}"
                yield Fault(where, f"{name!r} stands here twice: rename or remove one")


def _present(parent: Data, key: str) -> bool:
    return parent.get(key) is not None


def _mapping(parent: Data, key: str) -> Data:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def _entries(parent: Data, key: str) -> Iterator[tuple[int, Data]]:
    value = parent.get(key)
    entries: Iterable[object] = value if isinstance(value, list) else ()
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            yield index, entry


def _texts(parent: Data, key: str) -> Iterator[str]:
    value = parent.get(key)
    if isinstance(value, str):
        yield value
