"""Draws of calls, by the hash key of a step or by what a request is known by."""

from collections.abc import Sequence

from tiltyard_api.plan import PlanHashKey
from tiltyard_api.reasons import Reason
from tiltyard_core.draws import keyed_draw, value_draw
from tiltyard_engine.call import Call
from tiltyard_engine.errors import Refusal
from tiltyard_engine.steps.base import Context


class Draws:
    """Draws for one step.

    Args:
        step: its name.
        key: what a unit is; None: the request.
        salt: mixed into the hash of keys.

    """

    def __init__(self, step: str, key: PlanHashKey | None, salt: str) -> None:
        self._step = step
        self._key = key
        self._field = key.field or "" if key else ""
        self._header = key.header.encode() if key and key.header else b""
        self._on_missing = key.missing if key else "random"
        self._salt = salt

    def of(self, call: Call, context: Context) -> tuple[list[int], bool]:
        """Draws of the call, or of each of its rows, and whether they are units to count."""
        if self._key is None:
            own = call.identity
            return [context.random() if own is None else keyed_draw(self._salt, own)], True
        values = self._values(call)
        try:
            return [value_draw(self._salt, value) for value in values], True
        except (TypeError, ValueError):  # one is missing, or makes no sense: say which
            return self._carefully(values, call, context)

    def _carefully(
        self, values: Sequence[object], call: Call, context: Context
    ) -> tuple[list[int], bool]:
        counted = None not in values
        if not counted:
            call.missing_keys += (self._step,)
        return [self._keyed(value, row, context) for row, value in enumerate(values)], counted

    def _values(self, call: Call) -> Sequence[object]:
        """Values of the hash key: one for the call, or one a row; None where there is none."""
        if self._header:
            value = call.headers.get(self._header)
            return [None if value is None else value.decode("utf-8", "surrogateescape")]
        return call.fields.get(self._field, (None,))

    def _keyed(self, value: object, row: int, context: Context) -> int:
        if value is None:
            return self._missing(row, context)
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

    def _missing(self, row: int, context: Context) -> int:
        if self._on_missing == "random":
            return context.random()
        if self._on_missing == "first":
            return 0
        where, name = ("column", self._field) if self._field else ("header", self._header.decode())
        raise Refusal(
            Reason.HASH_KEY_MISSING,
            f"the hash key is missing: send the {where} {name!r}",
            field=name,
            row=row if self._field else None,
        )
