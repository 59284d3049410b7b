"""The step that divides requests between variants by weight."""

from collections.abc import Mapping, Sequence

import msgspec

from tiltyard_api.plan import PlanSplit
from tiltyard_api.reasons import Reason
from tiltyard_api.routing import RoutingTable, SplitRouting
from tiltyard_core.draws import keyed_draw, pick, thresholds, value_draw
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import Columns, scatter, take
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job
from tiltyard_engine.steps.base import Context, ModelRunner

Rows = list[int] | None
"""Rows of a call; None: all of them."""


class Part(msgspec.Struct):
    """The rows of a call that go to one variant."""

    call: Call
    rows: Rows
    outputs: Columns = {}


class SplitStep:
    """Sends each call, or each row of a batch with several keys, to one variant."""

    def __init__(self, plan: PlanSplit, runners: Mapping[str, ModelRunner]) -> None:
        self.name = plan.name
        key = plan.hash_key
        self._key = key
        self._field = key.field or "" if key else ""
        self._header = key.header.encode() if key and key.header else b""
        self._on_missing = key.missing if key else "random"
        self._salt = plan.salt
        self._variants = plan.variants
        self._runners = [runners[variant] for variant in plan.variants]
        self._ends: tuple[int, ...] = ()

    def route(self, table: RoutingTable) -> None:
        """Put weights in force: one assignment, so that a running step sees old or new."""
        routing = table.steps[self.name]
        if not isinstance(routing, SplitRouting):
            raise TypeError(f"step {self.name!r} is a split, the table has a {routing.kind}")
        self._ends = thresholds([routing.weights[variant] for variant in self._variants])

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Draw for every call, run each variant once on all that is its own."""
        ends = self._ends
        parts: list[list[Part]] = [[] for _ in self._variants]
        for call in calls:
            try:
                self._divide(call, ends, parts, context)
            except Refusal as refusal:
                call.refuse(refusal, self.name)
        for runner, mine in zip(self._runners, parts, strict=True):
            if mine:
                self._run_variant(runner, mine, context)
        for call in calls:
            served = call.served.get(self.name)
            if served is not None and served.rows is not None and call.refusal is None:
                self._join(call, parts)

    def _divide(
        self, call: Call, ends: Sequence[int], parts: Sequence[list[Part]], context: Context
    ) -> None:
        """Note which rows of a call go where."""
        pin = call.pins.get(self.name)
        if pin is not None:
            self._send(call, self._variants.index(pin), parts, counted=False)
            return
        if self._key is None:
            identity = call.identity
            draw = context.random() if identity is None else keyed_draw(self._salt, identity)
            self._send(call, pick(ends, draw), parts, counted=True)
            return
        values = self._values(call)
        counted = None not in values
        if not counted:
            call.missing_keys += (self.name,)
        chosen = [pick(ends, self._keyed(v, row, context)) for row, v in enumerate(values)]
        if len(chosen) == 1 or len(set(chosen)) == 1:
            self._send(call, chosen[0], parts, counted=counted)
        else:
            self._spread(call, chosen, parts, counted=counted)

    def _send(self, call: Call, index: int, parts: Sequence[list[Part]], *, counted: bool) -> None:
        """Give a whole call to one variant."""
        parts[index].append(Part(call, None))
        call.served[self.name] = Served([self._variants[index]], counted=counted)

    def _spread(
        self, call: Call, chosen: Sequence[int], parts: Sequence[list[Part]], *, counted: bool
    ) -> None:
        """Give each row of a call to the variant chosen for it."""
        rows: dict[int, list[int]] = {}
        for row, index in enumerate(chosen):
            rows.setdefault(index, []).append(row)
        for index, mine in rows.items():
            parts[index].append(Part(call, mine))
        order = {index: part for part, index in enumerate(rows)}
        call.served[self.name] = Served(
            [self._variants[index] for index in rows],
            list(rows.values()),
            [order[index] for index in chosen],
            counted,
        )

    def _values(self, call: Call) -> Sequence[object]:
        """Values of the hash key: one for the call, or one a row; None where there is none."""
        if self._header:
            value = call.headers.get(self._header)
            return [None if value is None else value.decode("utf-8", "surrogateescape")]
        return call.fields.get(self._field, (None,))

    def _keyed(self, value: object, row: int, context: Context) -> int:
        if value is None:
            return self._missing(context)
        try:
            return value_draw(self._salt, value)
        except ValueError as error:
            raise Refusal(
                Reason.HASH_KEY_OUT_OF_RANGE,
                f"hash key {error}: send a text, an integer, or a number from 0 to below 1",
                field=self._field,
                row=row,
            ) from error
        except TypeError as error:
            raise Refusal(Reason.WRONG_TYPE, str(error), field=self._field, row=row) from error

    def _missing(self, context: Context) -> int:
        if self._on_missing == "random":
            return context.random()
        if self._on_missing == "first":
            return 0
        where, name = ("column", self._field) if self._field else ("header", self._header.decode())
        raise Refusal(
            Reason.HASH_KEY_MISSING,
            f"step {self.name!r} needs the {where} {name!r}: send it",
            field=name,
        )

    def _run_variant(self, runner: ModelRunner, parts: Sequence[Part], context: Context) -> None:
        jobs = []
        for part in parts:
            inputs, rows = runner.inputs(part.call), part.call.rows
            if part.rows is not None:
                picked = part.rows
                inputs, rows = {n: take(c, picked) for n, c in inputs.items()}, len(picked)
            jobs.append(Job(inputs, rows))
        calls = [part.call for part in parts]
        for part, ran in zip(parts, runner.run(self.name, calls, jobs, context), strict=True):
            if ran and part.rows is None:
                part.call.outputs[self.name] = ran.outputs
            elif ran:
                part.outputs = ran.outputs

    def _join(self, call: Call, parts: Sequence[list[Part]]) -> None:
        mine = [p for variant in parts for p in variant if p.call is call and p.rows is not None]
        names = mine[0].outputs
        call.outputs[self.name] = {
            name: scatter([(p.rows or [], p.outputs[name]) for p in mine], call.rows)
            for name in names
        }
