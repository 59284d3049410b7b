"""The experiment of a Pipeline in one worker: it gives answers ids, and counts who got what."""

import itertools
import math
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tiltyard_api.experiment import BUCKETS
from tiltyard_api.plan import Plan
from tiltyard_api.v1alpha1.interleave import TEAM_SUFFIX
from tiltyard_core.draws import DRAW_SPACE
from tiltyard_core.experiment import dividing_step
from tiltyard_core.experiments.units import register
from tiltyard_core.tokens import (
    MOST_ROWS,
    ONE_ROW,
    ROWS_APART,
    TAG,
    UNASSIGNED,
    Token,
    pipeline_tag,
)
from tiltyard_core.units import sampled
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import Column
from tiltyard_engine.feedback.book import Book
from tiltyard_engine.feedback.keys import Keys
from tiltyard_engine.feedback.layout import MOST_WORKERS, Layout
from tiltyard_engine.feedback.samples import LEVEL, put
from tiltyard_engine.feedback.strata import Strata

_NUMBERS = (1 << 64) - 1
_NO_STRATUM = bytes(TAG)
_LARGEST = 3e38
"""Larger scores have no place in an id, nor are they any."""


class Opened:
    """An experiment's file and keys, opened before workers are forked.

    Args:
        plan: of its Pipeline.
        uid: of its Pipeline.
        folder: where files of sums are.
        secret: folder with the keys that sign ids; None: they follow from the uid.

    """

    def __init__(self, plan: Plan, uid: str, folder: Path, secret: Path | None) -> None:
        self.layout = Layout(plan)
        self.tag = pipeline_tag(uid)
        self.keys = Keys(uid, secret)
        path = folder / f"{self.tag.hex()}-{self.layout.id}"
        self.book = Book(path, self.layout.identity, self.layout.size)


class Assigning:
    """Gives ids and counts assignments in one worker.

    Args:
        opened: the experiment.
        clock: time of day.

    """

    def __init__(self, opened: Opened, clock: Callable[[], float] = time.time) -> None:
        layout = opened.layout
        self._layout = layout
        self._keys = opened.keys
        self._clock = clock
        self._step = dividing_step(layout.plan)
        self._experiment = bytes.fromhex(layout.id)[:TAG]
        self._pipeline = opened.tag
        self._variants = {name: number for number, name in enumerate(layout.variants)}
        self._score = layout.experiment.score
        self._strata = Strata(opened.book, layout)
        self._tags: dict[tuple[int, ...], bytes] = {}
        self._book = opened.book
        self._words = opened.book.words
        self._noted: dict[int, set[int]] = {}
        place = opened.book.claim(MOST_WORKERS)
        self._assigned = layout.workers + place * layout.assigned
        self._start = secrets.randbits(40) << 24
        self._numbers = itertools.count()

    def name(self, call: Call) -> None:
        """Give a call that has outputs its id, or one for each row where rows differ."""
        served = self._served(call)
        if served is None:
            return
        marks = 0 if served.counted and served.draws else UNASSIGNED
        rows = min(call.rows, MOST_ROWS)
        first = self._token(served, marks, rows)
        sign = self._keys.signers[0].sign
        if call.rows > 1 and (served.rows is not None or len(served.draws) > 1 or self._by_row):
            call.inference_id = sign(first._replace(marks=marks | ROWS_APART))
            row = first._replace(marks=marks | ONE_ROW)
            call.row_ids = [sign(one) for one in self._of_rows(call, served, row)]
        elif self._by_row:
            call.inference_id = sign(next(self._of_rows(call, served, first)))
        else:
            call.inference_id = sign(first)

    @property
    def _by_row(self) -> bool:
        """Whether every row has something of its own to remember."""
        return self._layout.interleaved or self._score is not None

    def _served(self, call: Call) -> Served | None:
        name = self._step.name
        return call.served.get(name) or call.ranked.get(name)

    def _token(self, served: Served, marks: int, rows: int) -> Token:
        variant = self._variants[served.variants[0]] if served.variants else 0
        unit = served.draws[0] if served.draws else 0
        number = self._start + next(self._numbers) & _NUMBERS
        stratum = _NO_STRATUM if marks & UNASSIGNED else self._tag(served.ends)
        now = int(self._clock())
        return Token(
            marks, self._pipeline, self._experiment, variant, rows, now, stratum, unit, number
        )

    def _of_rows(self, call: Call, served: Served, token: Token) -> Iterator[Token]:
        return (self._of_row(call, served, token, row) for row in range(call.rows))

    def _of_row(self, call: Call, served: Served, token: Token, row: int) -> Token:
        changes: dict[str, object] = {"number": self._start + next(self._numbers) & _NUMBERS}
        if len(served.draws) > 1:
            changes["unit"] = served.draws[row]
        if served.rows is not None:
            changes["variant"] = self._variants[served.variants[served.part_of[row]]]
        if self._score:
            column = call.outputs[self._score.step][self._score.output]
            changes["score"] = _number(column, row)
        if self._layout.interleaved:
            changes["places"] = self._places(call, row)
        return token._replace(**changes)  # type: ignore[arg-type]  # each of its field's type

    def _places(self, call: Call, row: int) -> Sequence[int]:
        """Ranker of each place that credits one: they are the first of the list."""
        outputs = call.outputs[self._step.name]
        teams = next(column for name, column in outputs.items() if name.endswith(TEAM_SUFFIX))
        return [self._variants[team] for team in teams[row].tolist() if team]

    def _tag(self, ends: tuple[int, ...]) -> bytes:
        """Name the shares that were in force, and note them where they are new."""
        found = self._tags.get(ends)
        if found is None:
            shares = dict.fromkeys(self._variants, 1.0)
            if ends:
                starts = (0, *ends[:-1])
                widths = [(end - at) / DRAW_SPACE for at, end in zip(starts, ends, strict=True)]
                shares = dict(zip(self._variants, widths, strict=True))
            found = self._tags[ends] = self._strata.begin(shares, self._clock())
        return found

    def count(self, call: Call) -> None:
        """Count for whom an answered call was drawn, each unit once."""
        served = call.served.get(self._step.name)
        if served is None or not served.counted or not served.draws:
            return
        place = self._strata.known(self._tag(served.ends))
        if place is None:
            return
        self._note(place, served)
        start = self._assigned + place * len(self._variants) * BUCKETS
        for draw, part in dict(_drawn(served)).items():
            variant = self._variants[served.variants[part]]
            self._words[start + variant * BUCKETS + register(draw)[0]] += 1

    def _note(self, place: int, served: Served) -> None:
        """Note the units of a call that are of the sample and were not noted by this worker.

        Few are: of many units the sample takes few, each of them once.
        """
        if not self._layout.tells_units:
            return
        first = self._layout.drawn_in(place)
        level = self._words[first + LEVEL]
        known = self._noted.setdefault(place, set())
        fresh = {
            draw: served.variants[part]
            for draw, part in _drawn(served)
            if draw not in known and (not level or sampled(draw, level))
        }
        if fresh:
            with self._book.changing() as change:
                for draw, variant in fresh.items():
                    put(change, first, draw, self._variants[variant])
            known.update(fresh)
            higher = self._words[first + LEVEL]
            if higher > level:
                self._noted[place] = {one for one in known if sampled(one, higher)}


def _drawn(served: Served) -> Iterator[tuple[int, int]]:
    """Draws, each with the place of its variant among those that served."""
    return zip(served.draws, served.part_of or itertools.repeat(0))  # noqa: B905 - without an end


def _number(column: Column, row: int) -> float:
    """Read the score of a row; what is no number of a usable size is none."""
    found = float(np.asarray(column[row]).reshape(-1)[0])
    return found if abs(found) < _LARGEST else math.nan
