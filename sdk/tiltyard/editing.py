"""The steps of a pipeline, one call an edit; nothing of it is in force before it is deployed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tiltyard.drafts import Draft
from tiltyard.expressions import PolarsExpression, to_cel
from tiltyard.modelversions import ModelVersion

Step = dict[str, Any]


class EditedSteps:
    """Steps that come and go; positions are counted from 0.

    Args:
        draft: what is edited.

    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def steps(self) -> list[Step]:
        """Give its steps, as a manifest holds them."""
        return self._draft.steps

    def definition(self) -> str:
        """Give its steps as text."""
        return json.dumps(self.steps())

    def add_model_step(self, model: ModelVersion, name: str | None = None) -> Self:
        """Add a step that runs one model."""
        (named,) = self._draft.named(model)
        self._draft.add("model", named, name)
        return self

    def replace_with_model_step(self, index: int, model: ModelVersion) -> Self:
        """Put a step that runs one model in the place of another step."""
        (named,) = self._draft.named(model, instead_of=index)
        self._draft.replace(index, "model", named)
        return self

    def add_random_split(
        self,
        weighted: Iterable[tuple[float, ModelVersion]],
        hash_key: str | None = None,
        name: str | None = None,
    ) -> Self:
        """Add a step that divides requests between models.

        Args:
            weighted: relative weights and models.
            hash_key: column whose value ties a request to a model; without it each is drawn.
            name: the step's name.

        """
        self._draft.add("split", self._split(weighted, hash_key, None), name)
        return self

    def replace_with_random_split(
        self,
        index: int,
        weighted: Iterable[tuple[float, ModelVersion]],
        hash_key: str | None = None,
    ) -> Self:
        """Put a step that divides requests in the place of another step."""
        self._draft.replace(index, "split", self._split(weighted, hash_key, index))
        return self

    def add_shadow_deploy(
        self,
        champion: ModelVersion,
        challengers: Sequence[ModelVersion],
        *,
        outputs: str = "respond",
        compare: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Self:
        """Add a step in which one model answers and others see the same.

        Args:
            champion: the model that answers.
            challengers: the models that look on.
            outputs: `respond`: their outputs come back too. `log`: nobody waits for them.
            compare: `{"output": NAME, "tolerance": DIFFERENCE}`: counts how often they agree;
                `threshold` and `keep` as in a manifest.
            name: the step's name.

        """
        self._draft.add("shadow", self._shadow(champion, challengers, outputs, compare), name)
        return self

    def replace_with_shadow_deploy(
        self,
        index: int,
        champion: ModelVersion,
        challengers: Sequence[ModelVersion],
        *,
        outputs: str = "respond",
        compare: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put a step with challengers in the place of another step."""
        body = self._shadow(champion, challengers, outputs, compare, index)
        self._draft.replace(index, "shadow", body)
        return self

    def add_canary(
        self,
        stable: ModelVersion,
        candidate: ModelVersion,
        ramp: Mapping[str, Any],
        *,
        hash_key: str | None = None,
        guards: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Self:
        """Add a step in which a candidate takes over in stages, and is rolled back if it fails.

        Args:
            stable: the model that serves.
            candidate: the model that may take over.
            ramp: `{"linear": {"duration": "1h"}}`, or `{"steps": [{"weight": 5, "hold": "10m"}]}`.
            hash_key: column that ties a request to a model.
            guards: what rolls it back, as in a manifest.
            name: the step's name.

        """
        body = self._canary(stable, candidate, ramp, hash_key, guards)
        self._draft.add("canary", body, name)
        return self

    def replace_with_canary(
        self,
        index: int,
        stable: ModelVersion,
        candidate: ModelVersion,
        ramp: Mapping[str, Any],
        *,
        hash_key: str | None = None,
        guards: Mapping[str, Any] | None = None,
    ) -> Self:
        """Put a canary in the place of another step."""
        body = self._canary(stable, candidate, ramp, hash_key, guards, index)
        self._draft.replace(index, "canary", body)
        return self

    def add_interleave(
        self,
        rankers: Sequence[ModelVersion],
        output: str,
        *,
        length: int = 10,
        hash_key: str | None = None,
        name: str | None = None,
    ) -> Self:
        """Add a step that makes one list of what two rankers give.

        Args:
            rankers: two models.
            output: output of both that is their list of items.
            length: most items of the list.
            hash_key: column whose draws stay the same.
            name: the step's name.

        """
        named = self._draft.named(*rankers)
        body = {"rankers": named, "output": output, "length": length} | _key(hash_key)
        self._draft.add("interleave", body, name)
        return self

    def replace_with_interleave(
        self,
        index: int,
        rankers: Sequence[ModelVersion],
        output: str,
        *,
        length: int = 10,
        hash_key: str | None = None,
    ) -> Self:
        """Put a step that makes one list of two in the place of another step."""
        named = self._draft.named(*rankers, instead_of=index)
        body = {"rankers": named, "output": output, "length": length} | _key(hash_key)
        self._draft.replace(index, "interleave", body)
        return self

    def add_validations(self, **expressions: str | PolarsExpression) -> Self:
        """Add rules that name bad rows; a row is answered whatever they say of it.

        Args:
            expressions: by name, CEL over `inputs` and `out` of one row, such as
                `out.price[0] > 5e6`, or a simple expression of polars over the columns of answers,
                such as `pl.col("out.price").list.get(0) > 5e6`; true: something is wrong.

        """
        rules = self._draft.get("validations") or []
        added = [{"name": name, "expression": to_cel(one)} for name, one in expressions.items()]
        kept = [one for one in rules if one["name"] not in expressions]
        self._draft.set("validations", kept + added)
        return self

    def set_experiment(
        self,
        metrics: Sequence[Mapping[str, Any]] | None,
        *,
        alpha: float | None = None,
        min_units: int | None = None,
    ) -> Self:
        """Say by which outcomes variants are compared; `feedback` tells them.

        Args:
            metrics: each with `name`, `kind` (`binary`, `count`, `value`, `label`) and what else a
                manifest says of it; None: there is no experiment any more.
            alpha: most probability of a wrong verdict.
            min_units: units before there is a verdict.

        """
        said = {"metrics": metrics and [dict(one) for one in metrics], "alpha": alpha}
        said |= {"minUnits": min_units}
        wished = {key: value for key, value in said.items() if value is not None}
        self._draft.set("experiment", wished if metrics else None)
        return self

    def set_records(
        self,
        uri: str | None,
        *,
        secret: str | None = None,
        sample: float | None = None,
        inputs: bool | None = None,
        exclude: Sequence[str] | None = None,
        hashed: Sequence[str] | None = None,
    ) -> Self:
        """Say where records go, and what of them; `logs` reads them back from there.

        Args:
            uri: `s3://BUCKET/PREFIX`, `gs://`, `az://` or `file:///FOLDER`; None: a cluster keeps
                none, and this machine keeps them in the workspace.
            secret: Secret of the namespace that engines write the store with.
            sample: share of the requests that are recorded.
            inputs: False leaves all inputs out.
            exclude: columns that are left out, such as `in.name`.
            hashed: columns of which a digest is kept in place of the value.

        """
        sink = {"uri": uri} | ({"secretName": secret} if secret else {})
        columns = {"exclude": exclude and list(exclude), "hash": hashed and list(hashed)}
        said = columns | {"sample": sample, "inputs": inputs}
        wished = {key: value for key, value in said.items() if value is not None}
        self._draft.set("records", {"sink": sink} | wished if uri else None)
        return self

    def remove_step(self, index: int) -> Self:
        """Take a step out."""
        self._draft.remove(index)
        return self

    def clear(self) -> Self:
        """Take all steps out, and validations and experiment with them."""
        self._draft.clear()
        return self

    def _split(
        self,
        weighted: Iterable[tuple[float, ModelVersion]],
        hash_key: str | None,
        instead_of: int | None,
    ) -> Step:
        pairs = list(weighted)
        names = self._draft.named(*(model for _, model in pairs), instead_of=instead_of)
        weights = [weight for weight, _ in pairs]
        variants = [
            {"model": name, "weight": weight} for name, weight in zip(names, weights, strict=True)
        ]
        return _key(hash_key) | {"variants": variants}

    def _shadow(
        self,
        champion: ModelVersion,
        challengers: Sequence[ModelVersion],
        outputs: str,
        compare: Mapping[str, Any] | None,
        instead_of: int | None = None,
    ) -> Step:
        first, *others = self._draft.named(champion, *challengers, instead_of=instead_of)
        body: Step = {
            "champion": first,
            "challengers": [{"model": name} for name in others],
            "outputs": outputs,
        }
        return body | ({"compare": dict(compare)} if compare else {})

    def _canary(
        self,
        stable: ModelVersion,
        candidate: ModelVersion,
        ramp: Mapping[str, Any],
        hash_key: str | None,
        guards: Mapping[str, Any] | None,
        instead_of: int | None = None,
    ) -> Step:
        first, second = self._draft.named(stable, candidate, instead_of=instead_of)
        body: Step = {"stable": first, "candidate": second, "ramp": dict(ramp)}
        return body | _key(hash_key) | ({"guards": dict(guards)} if guards else {})


def _key(hash_key: str | None) -> Step:
    return {"hashKey": {"field": hash_key}} if hash_key else {}
