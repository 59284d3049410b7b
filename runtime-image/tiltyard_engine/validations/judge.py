"""Judges calls by the validations of a plan."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tiltyard_api.limits import LIMITS
from tiltyard_api.plan import Plan, PlanValidation
from tiltyard_core.cel.check import fields_of
from tiltyard_core.cel.library import ExpressionError, Rule, available
from tiltyard_core.cel.simple import simple
from tiltyard_engine.call import Call
from tiltyard_engine.columns import Column
from tiltyard_engine.log import log
from tiltyard_engine.validations.apart import Evaluator
from tiltyard_engine.validations.evaluator import Rows
from tiltyard_engine.validations.values import (
    Field,
    getters,
    mentioned,
    plain,
    values_per_row,
)
from tiltyard_engine.validations.vectors import Vector, vector
from tiltyard_engine.validations.verdicts import ERROR, LATE, Verdicts

BUDGET = LIMITS["validation-budget"].usual
"""Seconds that an answer waits where nobody says."""

TOGETHER = 1 << 16
"""Values that are handed to the process at once, as far as rows are not larger."""


class NotRunnableError(Exception):
    """A validation that this engine cannot run."""


@dataclass(frozen=True, slots=True)
class Divided:
    """The validations of a plan, by how they are run."""

    vectors: Mapping[int, Vector]
    """Those that run here, by their place."""

    rest: Sequence[tuple[int, PlanValidation]]
    """Those that run apart."""


def divide(plan: Plan) -> Divided:
    """Find out which validations are simple."""
    fields, sources = fields_of(plan), getters(plan)
    vectors, rest = {}, []
    for place, one in enumerate(plan.validations or ()):
        understood = simple(one.expression, fields)
        if understood:
            vectors[place] = vector(understood, sources)
        else:
            rest.append((place, one))
    return Divided(vectors, rest)


def check(plan: Plan) -> None:
    """Find out whether this engine can run all validations of a plan.

    Raises:
        NotRunnableError: it lacks the library, or the library does not take one.

    """
    for _, one in divide(plan).rest:
        if not available():
            raise NotRunnableError(
                f"validation {one.name!r} needs CEL, which this engine does not have: use the full"
                " image, or install tiltyard[cel]"
            )
        try:
            Rule(one.expression)
        except ExpressionError as error:
            raise NotRunnableError(f"validation {one.name!r}: {error}") from error


class Judge:
    """Judges the calls of one plan."""

    def __init__(self, plan: Plan, budget: float) -> None:
        divided = divide(plan)
        self._names = [one.name for one in plan.validations or ()]
        self._vectors = divided.vectors
        self._rest = [place for place, _ in divided.rest]
        expressions = [one.expression for _, one in divided.rest]
        sources = getters(plan)
        self._fields: dict[Field, Callable[[Call], Column]] = {
            field: sources[field] for field in mentioned(expressions, fields_of(plan))
        }
        self._evaluator = Evaluator(expressions) if expressions else None
        self._budget = budget

    @property
    def waits(self) -> bool:
        """Whether a process is asked: never in the event loop."""
        return self._evaluator is not None

    def judge(self, call: Call) -> None:
        """Say of a call what its validations find; that they cannot harms no answer."""
        try:
            call.anomalies = self._verdicts(call)
        except Exception:  # noqa: BLE001 - whatever it is, the answer is there
            log("validations failed by a fault of the engine", error=traceback.format_exc())
            call.anomalies = dict.fromkeys(self._names, bytes([ERROR]) * call.rows)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._evaluator:
            self._evaluator.close()

    def _verdicts(self, call: Call) -> Verdicts:
        found = {place: judge(call).tobytes() for place, judge in self._vectors.items()}
        if self._evaluator:
            found |= zip(self._rest, self._ask(self._evaluator, call), strict=True)
        return {name: found[place] for place, name in enumerate(self._names)}

    def _ask(self, evaluator: Evaluator, call: Call) -> list[bytes]:
        """Verdicts of the process, for as many rows as there is time for."""
        end = time.monotonic() + self._budget
        columns = {field: get(call) for field, get in self._fields.items()}
        together = max(1, TOGETHER // max(1, values_per_row(columns)))
        parts: list[list[bytes]] = []
        for start in range(0, call.rows, together):
            count = min(together, call.rows - start)
            left = end - time.monotonic()
            rows = Rows(count, plain(columns, start, start + count), left)
            judged = evaluator.judge(rows)
            parts.append(judged)
            if not judged or len(judged[0]) < count:
                break
        late = bytes([LATE])
        joined = [b"".join(part[n] for part in parts if part) for n in range(len(self._rest))]
        return [column.ljust(call.rows, late) for column in joined]
