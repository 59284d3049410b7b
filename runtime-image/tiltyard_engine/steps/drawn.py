"""What splits and canaries share: a variant for each unit, and batches divided by key."""

from collections.abc import Mapping, Sequence

import msgspec

from tiltyard_api.plan import PlanHashKey
from tiltyard_core.draws import DRAW_SPACE, pick
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import Columns, scatter, take
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job
from tiltyard_engine.steps.base import Context, ModelRunner
from tiltyard_engine.steps.draws import Draws

Rows = list[int] | None
"""Rows of a call; None: all of them."""

Part = tuple[Call, Rows]
"""What of a call goes to one variant."""

Pieces = dict[int, list[tuple[list[int], Columns]]]
"""By the identity of each call that was divided: its rows' outputs, variant by variant."""


class Shares(msgspec.Struct, frozen=True):
    """What a routing step draws by; replaced as a whole, so that a running step sees old or new."""

    ends: tuple[int, ...]
    """Upper end of each variant's interval."""

    stage: str = ""
    """Of the ramp, where there is one: what the units are counted under."""


class Drawn:
    """Sends each call, or each row of a batch with several keys, to one variant.

    Args:
        name: of the step.
        key: what a unit is; None: the request.
        salt: mixed into the hash of keys.
        variants: models in the order of their intervals.

    """

    def __init__(
        self, name: str, key: PlanHashKey | None, salt: str, variants: Mapping[str, ModelRunner]
    ) -> None:
        self.name = name
        self._draws = Draws(name, key, salt)
        self._variants = tuple(variants)
        self._runners = list(variants.values())
        self._shares = Shares(())

    def in_force(self) -> dict[str, float]:
        """Share of each variant, 0 to 1."""
        ends = self._shares.ends
        starts = (0, *ends[:-1])
        return {
            name: (end - start) / DRAW_SPACE
            for name, start, end in zip(self._variants, starts, ends, strict=True)
        }

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Draw for every call, run each variant once on all that is its own."""
        shares = self._shares
        parts: list[list[Part]] = [[] for _ in self._variants]
        for call in calls:
            try:
                self._divide(call, shares, parts, context)
            except Refusal as refusal:
                call.refuse(refusal, self.name)
        pieces: Pieces = {}
        for runner, mine in zip(self._runners, parts, strict=True):
            if mine:
                self._run_variant(runner, mine, pieces, context)
        for call in calls if pieces else ():
            found = pieces.get(id(call))
            if found and call.refusal is None:
                call.outputs[self.name] = _joined(found, call.rows)

    def _divide(
        self, call: Call, shares: Shares, parts: Sequence[list[Part]], context: Context
    ) -> None:
        """Note which rows of a call go where."""
        pin = call.pins.get(self.name)
        if pin is not None:
            index = self._variants.index(pin)
            parts[index].append((call, None))
            call.served[self.name] = Served([pin], counted=False)
            return
        draws, counted = self._draws.of(call, context)
        index = pick(shares.ends, draws[0])
        if len(draws) > 1:
            chosen = [pick(shares.ends, draw) for draw in draws]
            if len(set(chosen)) > 1:
                where = self._spread(call, chosen, parts)
                served = Served(*where, counted, draws, shares.stage, shares.ends)
                call.served[self.name] = served
                return
        parts[index].append((call, None))
        variants = [self._variants[index]]
        served = Served(variants, None, [], counted, draws, shares.stage, shares.ends)
        call.served[self.name] = served

    def _spread(
        self, call: Call, chosen: Sequence[int], parts: Sequence[list[Part]]
    ) -> tuple[list[str], list[list[int]], list[int]]:
        """Give each row of a call to the variant chosen for it.

        Returns:
            The variants, the rows of each, and the place of each row's variant among them.

        """
        rows: dict[int, list[int]] = {}
        for row, index in enumerate(chosen):
            rows.setdefault(index, []).append(row)
        for index, mine in rows.items():
            parts[index].append((call, mine))
        order = {index: part for part, index in enumerate(rows)}
        variants = [self._variants[index] for index in rows]
        return variants, list(rows.values()), [order[index] for index in chosen]

    def _run_variant(
        self, runner: ModelRunner, parts: Sequence[Part], pieces: Pieces, context: Context
    ) -> None:
        jobs = [_job(runner, call, rows) for call, rows in parts]
        calls = [call for call, _ in parts]
        results = runner.run(self.name, calls, jobs, context)
        for (call, rows), ran in zip(parts, results, strict=True):
            if ran and rows is None:
                call.outputs[self.name] = ran.outputs
            elif ran and rows:
                pieces.setdefault(id(call), []).append((rows, ran.outputs))


def _job(runner: ModelRunner, call: Call, rows: Rows) -> Job:
    inputs = runner.inputs(call)
    if rows is None:
        return Job(inputs, call.rows)
    return Job({name: take(column, rows) for name, column in inputs.items()}, len(rows))


def _joined(pieces: Sequence[tuple[list[int], Columns]], rows: int) -> Columns:
    """Outputs of a call that was divided, in the order of its rows."""
    return {
        name: scatter([(mine, outputs[name]) for mine, outputs in pieces], rows)
        for name in pieces[0][1]
    }
