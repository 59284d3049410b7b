"""What is wrong with the validations of a Pipeline, and where."""

import difflib
from collections.abc import Iterator

from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.plan import Plan, RequestTensor
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.cel.library import ExpressionError, Rule, available
from tiltyard_core.cel.simple import Fields
from tiltyard_core.cel.tokens import Mention, mentions


def fields_of(plan: Plan) -> Fields:
    """What validations may be about: columns that steps take, and what the last step gives."""
    inputs: dict[str, TensorSpec] = {}
    for tensor in plan.request:
        for column in tensor.columns:
            inputs.setdefault(column, _column(tensor, column))
    return {"inputs": inputs, "out": {one.name: one for one in plan.steps[-1].outputs}}


def _column(tensor: RequestTensor, name: str) -> TensorSpec:
    return TensorSpec(name=name, type=tensor.type, shape=() if tensor.stacked else tensor.shape)


def checked(pipeline: Pipeline) -> Pipeline:
    """Give a Pipeline back if its validations are expressions.

    Raises:
        InvalidManifest: with what is wrong with each that is none.

    """
    faults = list(expression_faults(pipeline))
    if faults:
        raise InvalidManifest(faults)
    return pipeline


def expression_faults(pipeline: Pipeline) -> Iterator[Fault]:
    """What is no expression. Nothing is known of it where the library is not installed."""
    if not available():
        return
    for index, one in enumerate(pipeline.spec.validations or ()):
        try:
            Rule(one.expression)
        except ExpressionError as error:
            yield Fault(_place(index), f"{one.name!r}: {error}")


def mention_faults(pipeline: Pipeline, plan: Plan) -> Iterator[Fault]:
    """What is about fields or elements that no row has."""
    fields = fields_of(plan)
    for index, one in enumerate(pipeline.spec.validations or ()):
        for mention in mentions(one.expression):
            message = _misfit(mention, fields)
            if message:
                where = f"{one.name!r}: character {mention.at + 1}"
                yield Fault(_place(index), f"{where}: {message}")


def _place(index: int) -> str:
    return f"spec.validations[{index}].expression"


def _misfit(mention: Mention, fields: Fields) -> str | None:
    if mention.name is None:
        return None
    known = fields[mention.root]
    spec = known.get(mention.name)
    full = f"{mention.root}.{mention.name}"
    if spec is None:
        close = difflib.get_close_matches(mention.name, known, n=1)
        there = f"did you mean {close[0]}?" if close else f"there: {', '.join(known)}"
        return f"there is no {full}: {there}"
    if mention.index is None:
        return None
    if not spec.shape:
        return f"{full} is {spec.text()}, one value a row: leave [{mention.index}] out"
    length = spec.shape[0]
    if length != ANY_LENGTH and mention.index >= length:
        there = "[0] alone" if length == 1 else f"[0] to [{length - 1}]"
        return f"{full} is {spec.text()}: there is {there}"
    return None
