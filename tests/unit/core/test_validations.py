"""What is said of validations before anything is served: what they mention, what is wrong."""

from collections.abc import Mapping

import pytest

from makers import make_pipeline, make_resolved
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.plan import PlanValidation
from tiltyard_api.tensors import TensorSpec, TensorType
from tiltyard_core.cel.check import checked, expression_faults, fields_of
from tiltyard_core.cel.library import FAILED, FALSE, TRUE, Rule, judge
from tiltyard_core.cel.simple import Comparison, Joined, simple
from tiltyard_core.cel.tokens import Mention, mentions
from tiltyard_core.compile import compile_plan

RESOLVED = {
    "a": make_resolved("x float32[?,4] -> y float32[?,1]"),
    "b": make_resolved("x float32[?,4] -> y float32[?,1]"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def spec(kind: str, *shape: int) -> TensorSpec:
    return TensorSpec(name="f", type=TensorType(kind), shape=shape)


FIELDS: Mapping[str, Mapping[str, TensorSpec]] = {
    "inputs": {
        "one": spec("float64"),
        "many": spec("float32", -1),
        "image": spec("uint8", 2, 2),
        "in": spec("float32", 1),
    },
    "out": {
        "f": spec("float32", 3),
        "small": spec("int8", 2),
        "whole": spec("int64", 2),
        "large": spec("uint64", 1),
        "flag": spec("bool", 1),
        "text": spec("string", 1),
    },
}

WRONG = {
    "out.euro[0] >": "character 14: Syntax error: mismatched input '<EOF>'",
    "out.euro[0] > && 2": "character 15: Syntax error: extraneous input '&&'",
    "1 + 'a' > 2": "character 3: found no matching overload for '_+_' applied to '(int, string)'",
    "out.euro[0] > 1.0 ||\n  euro > 2.0": (
        "line 2, character 3: nothing is called 'euro': write inputs.COLUMN or out.NAME"
    ),
    "in.x[0] > 1.0": "character 1: `in` is a word of CEL: write inputs",
    "frobnicate(out.euro)": "character 11: nothing is called 'frobnicate'",
    "size(out.euro)": "gives int, a validation is true or false: compare it",
    "'dear'": "gives string, a validation is true or false: compare it",
    "(" * 40 + "true" + ")" * 40: "is nested deeper than 32 levels: flatten it",
    "out" + ".x" * 400: "is nested deeper than 32 levels: flatten it",
    "out.euro[0] > 99999999999999999999": "character 15: invalid int literal",
}


@pytest.mark.parametrize("expression", WRONG)
def test_what_is_no_expression_is_refused_by_name_and_place(expression: str) -> None:
    named = [{"name": "fine", "expression": "true"}, {"name": "dear", "expression": expression}]
    pipeline = make_pipeline(validations=named)
    (fault,) = expression_faults(pipeline)
    assert fault.path == "spec.validations[1].expression"
    assert fault.message.startswith(f"'dear': {WRONG[expression]}")
    with pytest.raises(InvalidManifest):
        checked(pipeline)


def test_a_plan_carries_its_validations_and_without_any_is_what_it_was() -> None:
    named = [{"name": "dear", "expression": "out.euro[0] > 5.0"}]
    plan = compile_plan(checked(make_pipeline(validations=named)), RESOLVED)
    assert plan.validations == (PlanValidation(name="dear", expression="out.euro[0] > 5.0"),)
    without = compile_plan(make_pipeline(), RESOLVED)
    assert without.hash == compile_plan(make_pipeline(validations=[]), RESOLVED).hash
    assert without.hash != plan.hash
    assert {root: list(names) for root, names in fields_of(plan).items()} == {
        "inputs": ["x"],
        "out": ["euro"],
    }


@pytest.mark.parametrize(
    ("expression", "found"),
    {
        "out.f[0] > 1": [Mention("out", 0, "f", 0)],
        "size(inputs.many) > 2 && out['f'][12] > out.f[i]": [
            Mention("inputs", 5, "many"),
            Mention("out", 25, "f", 12),
            Mention("out", 40, "f"),
        ],
        "inputs.out[1] > 0": [Mention("inputs", 0, "out", 1), Mention("out", 7)],
        ".out.f[0] > 0": [Mention("out", 1)],
        "out[inputs.one]": [Mention("out", 0), Mention("inputs", 4, "one")],
        "out.size() > 0": [Mention("out", 0)],
        "'out.f' == \"inputs.one\" || r'\\' == '\\'out.f'": [],
        'b\'out.f\' == b"""out.f""" // out.f': [],
        "shout.f || outs.f": [],
    }.items(),
)
def test_what_an_expression_mentions_is_known_before_it_runs(
    expression: str, found: list[Mention]
) -> None:
    assert list(mentions(expression)) == found


def test_comparisons_joined_by_and_and_or_are_simple() -> None:
    understood = simple("out.f[1]>-1 && (inputs.one <= 1e3 || out.small[0] == 4) // so", FIELDS)
    assert understood == Joined(
        "&&",
        (
            Comparison("out", "f", 1, ">", -1),
            Joined(
                "||",
                (
                    Comparison("inputs", "one", None, "<=", 1000.0),
                    Comparison("out", "small", 0, "==", 4),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    "expression",
    [
        "out.f[0] > out.f[1]",
        "1.0 < out.f[0]",
        "!(out.f[0] > 1.0)",
        "out.f[0] > 1.0 ? true : false",
        "out.f[0] + 1.0 > 2.0",
        "out.f[0] > 2u",
        "out.f[0] > 0x10",
        "out.f[0] > 1e400",
        "out.f[0] > 9007199254740993",
        "out.f[3] > 1.0",
        "out.f > 1.0",
        "inputs.one[0] > 1.0",
        "inputs.many[0] > 1.0",
        "inputs.image[0][1] > 1",
        "inputs.in[0] > 1.0",
        "out.whole[0] > 1.5",
        "out.whole[0] > 9223372036854775808",
        "out.large[0] > 1",
        "out.flag[0] == 1",
        "out.text[0] == 1",
        "out.none[0] > 1",
        "out.f[0] > 1.0 out.f[0] > 1.0",
        "out.f[0] > 1.0 &&",
        "(" * 9 + "out.f[0] > 1.0" + ")" * 9,
        "(" * 20_000 + "out.f[0] > 1.0" + ")" * 20_000,
        "",
    ],
)
def test_whatever_might_mean_something_else_is_left_to_the_library(expression: str) -> None:
    assert simple(expression, FIELDS) is None


def test_an_error_is_neither_true_nor_false() -> None:
    texts = ("out.f > 1.0", "out.g > 1.0", "out.f", "out.f < 1.0", "out.f < 1.0 || out.g > 1.0")
    rules = [Rule(text) for text in texts]
    row = {"inputs": {}, "out": {"f": 2.0}}
    assert judge(rules, row) == [TRUE, FAILED, FAILED, FALSE, FAILED]
    large = {"inputs": {}, "out": {"f": 2**64 - 1}}
    assert judge(rules, large) == [TRUE, FAILED, FAILED, FALSE, FAILED]
