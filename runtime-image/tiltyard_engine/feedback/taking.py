"""Takes feedback in one worker: judges it, credits it once, and counts what became of it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from tiltyard_api.reasons import Reason
from tiltyard_api.v1alpha1.experiment import MetricKind
from tiltyard_core.tokens import TAG, Signer, Token, WrongToken, read
from tiltyard_core.units import mixed
from tiltyard_engine.counters import Block
from tiltyard_engine.errors import Refusal
from tiltyard_engine.feedback.book import Change
from tiltyard_engine.feedback.experiment import Opened
from tiltyard_engine.feedback.repeats import Repeats
from tiltyard_engine.feedback.results import (
    ACCEPTED,
    FEEDBACK,
    NO_METRIC,
    STRAYS,
    UNASSIGNED,
    feedback_series,
)
from tiltyard_engine.feedback.strata import Strata
from tiltyard_engine.feedback.sums import Sums
from tiltyard_engine.feedback.values import value_of
from tiltyard_engine.recording.taking import Recording

SKEW_SECONDS = 300
"""By so much may the clock of another engine be ahead of ours."""

MOST_ITEM = 2**31 - 1
_NOWHERE = 0xFFFFFFFF
"""Stands for a row or an item that was not named."""


class Feedback(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One piece of feedback, as a client sends it."""

    inference_id: str
    metric: str
    value: object
    row: int | None = None
    item: int | None = None


class Credit(msgspec.Struct):
    """Feedback that makes sense."""

    token: Token
    metric: int
    value: float
    variant: int
    """Whose it is; less than 0: nobody's."""

    name: int
    """What it is told from other feedback by."""


class Taker:
    """Takes the feedback of one Pipeline.

    Args:
        opened: its experiment.
        block: the worker's.
        most_age: seconds after which an id is too old.
        clock: time of day.

    """

    def __init__(
        self,
        opened: Opened,
        block: Block,
        most_age: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        layout = opened.layout
        self._layout = layout
        self._book = opened.book
        self._most_age = most_age
        self._clock = clock
        self._experiment = bytes.fromhex(layout.id)[:TAG]
        self._metrics = {name: number for number, name in enumerate(layout.metrics)}
        self._sums = Sums(opened.book, layout)
        self._strata = Strata(opened.book, layout)
        self._repeats = Repeats(opened.book.words, layout.repeats)
        self._words = block.words
        series = feedback_series(layout.plan)
        self._counts = {one.labels[1:]: block.place(one) for one in series}

    def judge(self, one: Feedback, token: Token) -> Credit:
        """Tell what feedback credits.

        Raises:
            Refusal: nothing.

        """
        number = self._metrics.get(one.metric)
        if number is None:
            known = ", ".join(self._metrics)
            raise Refusal(
                Reason.UNKNOWN_METRIC,
                f"no metric {one.metric[:64]!r} (there: {known}): correct it",
                field="metric",
            )
        self._check_id(token)
        row = self._row(one.row, token)
        item = _NOWHERE if one.item is None else one.item
        if one.item is not None and not 0 <= item <= MOST_ITEM:
            raise Refusal(
                Reason.OUT_OF_RANGE, f"item is {item}: it is a place from 0", field="item"
            )
        metric = self._layout.experiment.metrics[number]
        value = value_of(metric.kind, one.value)
        if metric.kind is MetricKind.LABEL and math.isnan(token.score):
            raise Refusal(
                Reason.NULL_VALUE, "the answer had no score to compare with", field="value"
            )
        variant = self._credited(token, one.item) if self._layout.interleaved else token.variant
        name = mixed(token.number ^ mixed(number << 60 ^ row << 31 ^ item))
        return Credit(token, number, value, -1 if token.unassigned else variant, name)

    def _check_id(self, token: Token) -> None:
        if token.experiment != self._experiment:
            raise Refusal(
                Reason.TOO_OLD, "the id is of an earlier experiment: nothing can be credited"
            )
        age = self._clock() - token.time
        if age > self._most_age:
            raise Refusal(
                Reason.TOO_OLD,
                f"the id is older than {self._most_age:g} s: nothing can be credited",
            )
        if age < -SKEW_SECONDS:
            raise Refusal(
                Reason.CLOCK_AHEAD, "the id is from the future: set the clocks of all engines"
            )
        if token.rows_apart:
            raise Refusal(
                Reason.ROW_NEEDS_OWN_ID,
                "rows of this batch have ids of their own: send the row's metadata.inference_id",
                field="inferenceId",
            )

    def _row(self, row: int | None, token: Token) -> int:
        if row is None:
            return _NOWHERE
        if not 0 <= row <= token.last_row:
            raise Refusal(
                Reason.OUT_OF_RANGE,
                f"row is {row}: rows of this id go from 0 to {token.last_row}",
                field="row",
            )
        return row

    def _credited(self, token: Token, item: int | None) -> int:
        """Tell whose place of an interleaved list was meant."""
        if item is None:
            raise Refusal(
                Reason.MALFORMED_BODY,
                "the answer was interleaved: send the item's place from 0 as item",
                field="item",
            )
        return token.places[item] if item < len(token.places) else -1

    def take(self, credits_: Sequence[Credit]) -> list[Refusal | None]:
        """Credit feedback, all of it in one change of the file; tells what was there already."""
        now = self._clock()
        with self._book.changing() as change:
            done = [self._take(change, one, now) for one in credits_]
        refusals: list[Refusal | None] = []
        for one, result in zip(credits_, done, strict=True):
            self.count(self._layout.metrics[one.metric], result)
            refusals.append(_repeated() if result == Reason.DUPLICATE else None)
        return refusals

    def _take(self, change: Change, one: Credit, now: float) -> str:
        token, layout = one.token, self._layout
        if not self._repeats.new(change, one.name):
            return Reason.DUPLICATE
        if one.variant < 0:
            return UNASSIGNED
        place = self._strata.place(change, token.stratum, min(now, token.time))
        if place is None:
            return UNASSIGNED
        metric = layout.experiment.metrics[one.metric]
        cell = layout.cell(place, one.variant, one.metric)
        value = one.value
        if metric.kind is MetricKind.LABEL and layout.experiment.score:
            predicted = int(token.score >= layout.experiment.score.threshold)
            label = int(value)
            self._sums.label(change, cell, token, label, predicted)
            value = float(predicted == label)
        clustered = layout.keyed or layout.interleaved or token.rows > 1
        self._sums.add(change, cell, token.unit, value, clustered=clustered)
        if metric.name in layout.won and value:
            won = int(value) if one.variant == 0 else -int(value)
            self._sums.win(change, metric.name, token.unit, won)
        return ACCEPTED

    def count(self, metric: str, result: str) -> None:
        """Count what became of feedback."""
        known = metric if metric in self._metrics else NO_METRIC
        self._words[self._counts[known, result]] += 1


class Takers:
    """Takes the feedback of all Pipelines of a worker.

    Args:
        takers: by the tags of the Pipelines, with what knows their ids.
        block: the worker's.
        records: what writes feedback down, by the same tags.

    """

    def __init__(
        self,
        takers: Mapping[bytes, tuple[Opened, Taker]],
        block: Block,
        records: Mapping[bytes, Recording] = MappingProxyType({}),
    ) -> None:
        self._takers = takers
        self._records = records
        self._words = block.words
        self._strays = {result: block.offset(FEEDBACK, "", NO_METRIC, result) for result in STRAYS}

    def take(self, many: Sequence[Feedback | Refusal]) -> list[Refusal | None]:
        """Take feedback; tells what was refused, and what was not."""
        signers = {tag: opened.keys.signers for tag, (opened, _) in self._takers.items()}
        outcome: list[Refusal | None] = []
        good: dict[bytes, list[tuple[int, Credit]]] = {}
        for index, one in enumerate(many):
            found = self._judged(one, signers)
            outcome.append(found if isinstance(found, Refusal) else None)
            if isinstance(found, Credit):
                good.setdefault(found.token.pipeline, []).append((index, found))
        for tag, mine in good.items():
            done = self._takers[tag][1].take([credit for _, credit in mine])
            for (index, _), refusal in zip(mine, done, strict=True):
                outcome[index] = refusal
            if tag in self._records:
                self._records[tag].outcomes(
                    [
                        (one.inference_id, one.metric, credit.value, one.row, one.item)
                        for index, credit in mine
                        if outcome[index] is None and isinstance(one := many[index], Feedback)
                    ]
                )
        return outcome

    def _judged(
        self, one: Feedback | Refusal, signers: Mapping[bytes, Sequence[Signer]]
    ) -> Credit | Refusal:
        if isinstance(one, Refusal):
            return self._stray(one)
        try:
            token = read(one.inference_id, signers)
        except WrongToken:
            return self._stray(_wrong_token())
        except ValueError:
            return self._stray(_malformed_id())
        except KeyError:
            return self._stray(_other_pipeline())
        taker = self._takers[token.pipeline][1]
        try:
            return taker.judge(one, token)
        except Refusal as refusal:
            taker.count(one.metric, refusal.reason)
            return refusal

    def _stray(self, refusal: Refusal) -> Refusal:
        """Count what is of no Pipeline that is known."""
        self._words[self._strays[refusal.reason]] += 1
        return refusal


def _malformed_id() -> Refusal:
    message = "this is no id of an answer that can be credited: send X-Tiltyard-Inference-Id of one"
    return Refusal(Reason.MALFORMED_ID, message, field="inferenceId")


def _wrong_token() -> Refusal:
    message = "nobody with a key of this Pipeline has made this id: send it as it came"
    return Refusal(Reason.WRONG_TOKEN, message, field="inferenceId")


def _other_pipeline() -> Refusal:
    message = "the id is of a Pipeline that is not served here: send it to where it came from"
    return Refusal(Reason.UNKNOWN_PIPELINE, message, field="inferenceId")


def _repeated() -> Refusal:
    message = "this feedback was counted already: there is nothing to do"
    return Refusal(Reason.DUPLICATE, message)
