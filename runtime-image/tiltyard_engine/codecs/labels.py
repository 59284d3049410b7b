"""What answers say of the variants that served them, in every format."""

import json

import msgspec
import orjson

from tiltyard_api.plan import Plan, PlanDrawn
from tiltyard_engine.call import Call, Served
from tiltyard_engine.dataplane import model_split
from tiltyard_engine.metrics import variants_of

KEPT = 4096
"""Combinations of variants that are kept: two steps have at most 256, sixteen steps 2^64."""


class Labels(msgspec.Struct, frozen=True):
    """The labels of rows that the same variants served, as values and as JSON."""

    split: str | None
    """The only member of `_model_split`; None where no step splits."""

    last_model: str
    variants: dict[str, str]
    split_json: bytes | None
    last_model_json: bytes
    variants_json: bytes


class Labeller:
    """Finds the labels of rows; what a combination of variants is called is kept."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._last = plan.steps[-1].name
        self._split_steps = {step.name for step in plan.steps if isinstance(step, PlanDrawn)}
        self._models = {step.name: variants_of(step)[0] for step in plan.steps}
        self._digests = {model.name: model.digest for model in plan.models}
        self._labels: dict[tuple[str, ...], Labels] = {}

    def of(self, call: Call, row: int) -> Labels:
        """Labels of a row of a call."""
        chosen = tuple([_served_at(served, row) for served in call.served.values()])
        known = self._labels.get(chosen)
        return known or self.named(dict(zip(call.served, chosen, strict=True)))

    def named(self, served: dict[str, str]) -> Labels:
        """Labels of rows that these variants served, by step."""
        chosen = tuple(served.values())
        labels = self._labels.get(chosen)
        if labels is None:
            if len(self._labels) >= KEPT:
                self._labels.clear()
            labels = self._labels[chosen] = self._make(served)
        return labels

    def _make(self, served: dict[str, str]) -> Labels:
        splits = [variant for step, variant in served.items() if step in self._split_steps]
        split = model_split(self._plan, splits[-1]) if splits else None
        model = served.get(self._last) or self._models[self._last]
        named = {"model_name": model, "model_sha": self._digests[model]}
        last = json.dumps(named, separators=(",", ":"))
        return Labels(
            split=split,
            last_model=last,
            variants=served,
            split_json=orjson.dumps([split]) if splits else None,
            last_model_json=orjson.dumps(last),
            variants_json=orjson.dumps(served),
        )


def _served_at(served: Served, row: int) -> str:
    return served.variants[0] if served.rows is None else served.variants[served.part_of[row]]
