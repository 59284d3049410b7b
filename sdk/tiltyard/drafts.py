"""The spec of a pipeline while it is edited: steps come and go, and the models that they name."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from tiltyard.failure import Failure
from tiltyard.modelversions import ModelVersion

Spec = dict[str, Any]

TOLD_APART = 8
"""Characters of a digest behind the name of a second version of a model."""


def models_of(step: Mapping[str, Any]) -> Iterator[str]:
    """Names of the models of a step, in its order."""
    match step:
        case {"model": str(name)}:
            yield name
        case {"split": {"variants": variants}}:
            yield from (one["model"] for one in variants)
        case {"shadow": shadow}:
            yield shadow["champion"]
            yield from (one["model"] for one in shadow["challengers"])
        case {"canary": canary}:
            yield from (canary["stable"], canary["candidate"])
        case {"interleave": interleave}:
            yield from interleave["rankers"]
        case _:  # not valid, which whoever reads the whole manifest says
            pass


class Draft:
    """A spec that is edited.

    Args:
        spec: what there is already; everything of it is kept until it is edited.

    """

    def __init__(self, spec: Spec | None = None) -> None:
        found = deepcopy(spec or {})
        self._models: dict[str, Spec] = {one["name"]: one for one in found.pop("models", ())}
        self._steps: list[Spec] = found.pop("steps", [])
        self._rest = found

    @property
    def steps(self) -> list[Spec]:
        """The steps, as a manifest holds them."""
        return deepcopy(self._steps)

    def spec(self) -> Spec:
        """Spec of the manifest; models that no step names are left out."""
        used = {name for step in self._steps for name in models_of(step)}
        models = [one for name, one in self._models.items() if name in used]
        return deepcopy({"models": models, "steps": self._steps} | self._rest)

    def set(self, key: str, value: object) -> None:
        """Set another field of the spec; None takes it out."""
        self._rest.pop(key, None)
        if value is not None:
            self._rest[key] = deepcopy(value)

    def get(self, key: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Another field of the spec."""
        return deepcopy(self._rest.get(key))

    def add(self, kind: str, body: Spec | str, name: str | None = None) -> None:
        """Put a step behind the others.

        Args:
            kind: the field that makes it this kind of step.
            body: its content.
            name: its name; without one it is called by its kind.

        """
        taken = {step["name"] for step in self._steps}
        names = (kind, *(f"{kind}-{number}" for number in range(2, 99)))
        chosen = name or next(one for one in names if one not in taken)
        self._steps.append({"name": chosen, kind: body})

    def replace(self, index: int, kind: str, body: Spec | str, name: str | None = None) -> None:
        """Put a step in the place of another; of the same kind it keeps its name and inputs.

        Raises:
            Failure: there is no such step.

        """
        old = self.at(index)
        del self._steps[index]
        self.add(kind, body, name or (old["name"] if kind in old else None))
        new = self._steps.pop()
        kept = {key: old[key] for key in ("inputs",) if kind in old and key in old}
        self._steps.insert(index, new | kept)

    def remove(self, index: int) -> None:
        """Take a step out.

        Raises:
            Failure: there is no such step.

        """
        self.at(index)
        del self._steps[index]

    def clear(self) -> None:
        """Take all steps out, and what is said of their outputs."""
        self._steps = []
        self._models = {}
        for key in ("validations", "experiment"):
            self._rest.pop(key, None)

    def at(self, index: int) -> Spec:
        """Find a step by its position, from 0.

        Raises:
            Failure: there is no such step.

        """
        if not 0 <= index < len(self._steps):
            raise Failure(f"there is no step {index}: there are {len(self._steps)}, from 0")
        return self._steps[index]

    def named(self, *versions: ModelVersion, instead_of: int | None = None) -> list[str]:
        """List the models of a step and give the names by which it names them.

        Args:
            versions: the models. A second version beside another of its name is told apart by its
                digest.
            instead_of: position of the step that is about to go.

        """
        kept = [step for index, step in enumerate(self._steps) if index != instead_of]
        used = {name for step in kept for name in models_of(step)}
        names = []
        for version in versions:
            listed, name = version.listed(), version.name()
            if name in used and self._models.get(name) != listed:
                name = f"{name[: 39 - TOLD_APART]}-{version.sha()[:TOLD_APART]}"
            self._models[name] = listed | {"name": name}
            used.add(name)
            names.append(name)
        return names

    def weigh(self, weights: Mapping[str, float], step: str | None) -> None:
        """Give variants of a split other weights.

        Args:
            weights: by the names of models; those that are not named keep theirs.
            step: the split's name; None: the only one.

        Raises:
            Failure: there is no such split, or no such variant in it.

        """
        splits = [one for one in self._steps if "split" in one and step in (None, one["name"])]
        if len(splits) != 1:
            there = ", ".join(one["name"] for one in self._steps if "split" in one) or "none"
            which = f"no split {step!r}" if step else "not exactly one split"
            raise Failure(f"there is {which} (there: {there}): name one by step=")
        variants: Sequence[Spec] = splits[0]["split"]["variants"]
        known = [one["model"] for one in variants]
        for name in weights:
            if name not in known:
                raise Failure(f"{splits[0]['name']} has no variant {name!r}: {', '.join(known)}")
        for one in variants:
            one["weight"] = weights.get(one["model"], one["weight"])
