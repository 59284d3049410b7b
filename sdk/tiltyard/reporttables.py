"""A report as tables of a terminal."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tiltyard.tables import percent, plain_table
from tiltyard_api.v1alpha1.verdict import (
    FIGURES,
    Agreement,
    Comparison,
    LabelQuality,
    Report,
    Times,
)

SHOWN, WIDE = 5, 60
"""Disagreements of a challenger, and characters of a value, that a table shows: JSON has all."""


def picture(report: Report) -> RenderableType:
    """Draw a report."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    verdict = report.verdict
    if verdict:
        yield Text(f"{report.pipeline}, experiment on {report.step}: {verdict.reason}")
        yield Text(verdict.message)
        yield Text("")
        yield _comparisons(verdict.comparisons or ())
        yield Text(_legend(report))
        if any(one.wins for one in verdict.comparisons or ()):
            yield Text("")
            yield _wins(verdict.comparisons or ())
        if verdict.labels:
            yield Text("")
            yield _labels(verdict.labels)
            yield Text("from, to: 95 %, for one look at the end; ROC-AUC +- what its bins hide")
    elif report.step:
        yield Text(f"{report.pipeline}: the operator has not said anything of {report.step} yet")
    if report.shadows:
        yield Text("")
        yield _shadows(report.shadows)
        if any(one.flips for one in report.shadows):
            yield Text("")
            yield _flips(report.shadows)
        if any(one.worst for one in report.shadows):
            yield Text("")
            yield _worst(report.shadows)


def _legend(report: Report) -> str:
    sure = f"{100 * (1 - (report.alpha or 0.05)):g} %"
    return (
        f"difference to the control, with an interval that is right at all times at once ({sure});"
        " p: valid whenever one looks; p at the end: of a test for one look, to compare with"
    )


def _comparisons(rows: Sequence[Comparison]) -> Table:
    columns = ("metric", "variant", "is", "units", "mean", "of control", "difference", "from", "to")
    table = plain_table(*columns, "p", "p at the end", "feedback needed")
    for one in rows:
        table.add_row(
            one.metric,
            one.variant,
            one.finding,
            f"{one.units} beside {one.control_units}",
            _number(one.mean),
            _number(one.control_mean),
            _signed(one.estimate),
            _signed(one.low),
            _signed(one.high),
            _p(one.p),
            _p(one.fixed_p),
            "" if one.needed is None else f"x {one.needed:.3g}",
        )
    return table


def _wins(rows: Sequence[Comparison]) -> Table:
    table = plain_table("metric", "ranker", "wins", "of the other", "ties", "p", "p at the end")
    for one in rows:
        if one.wins:
            found = one.wins
            counts = (str(found.wins), str(found.control_wins), str(found.ties))
            table.add_row(one.metric, one.variant, *counts, _p(found.p), _p(found.sign_p))
    return table


def _labels(rows: Sequence[LabelQuality]) -> Table:
    table = plain_table("metric", "variant", "labels", "", "is", "from", "to")
    for one in rows:
        start = (one.metric, one.variant, str(one.values))
        figures = one.model_dump(by_alias=True)
        for figure, words in FIGURES.items():
            error = one.roc_auc_error if figure == "rocAuc" else None
            about = "" if error is None else f" +- {error:.2g}"
            interval = (one.fixed_intervals or {}).get(figure)
            ends = (interval.low, interval.high) if interval else (None, None)
            table.add_row(*start, words, _number(figures[figure]) + about, *map(_number, ends))
            start = ("", "", "")
    return table


def _shadows(rows: Sequence[Agreement]) -> Table:
    columns = ("shadow", "model", "compared", "match", "from", "to")
    table = plain_table(*columns, "calls", "mean", "median", "95 %", "99 %")
    for one in rows:
        table.add_row(
            one.step,
            one.challenger,
            str(one.compared),
            percent(one.rate),
            percent(one.low),
            percent(one.high),
            *_times(one.times),
        )
        table.add_row("", one.champion, "", "", "", "", *_times(one.champion_times))
    return table


def _flips(rows: Sequence[Agreement]) -> Table:
    table = plain_table(
        "shadow", "model", "both yes", "both no", "", "rows", "of", "is", "from", "to"
    )
    for one in rows:
        found = one.flips
        if found is None:
            continue
        start = (one.step, one.challenger, str(found.both_above), str(found.both_below))
        rates = (
            ("other than the champion", found.flips),
            ("no where the champion says yes", found.false_negatives),
            ("yes where the champion says no", found.false_positives),
        )
        for words, rate in rates:
            shares = map(percent, (rate.rate, rate.low, rate.high))
            table.add_row(*start, words, str(rate.count), str(rate.of), *shares)
            start = ("", "", "", "")
    return table


def _worst(rows: Sequence[Agreement]) -> Table:
    table = plain_table("shadow", "model", "furthest apart", "champion", "challenger", "inputs")
    for one in rows:
        names = (one.step, one.challenger)
        for row in (one.worst or ())[:SHOWN]:
            values = map(_json, (row.champion, row.challenger, row.inputs))
            table.add_row(*names, _number(row.difference) or "no number", *values)
            names = ("", "")
    return table


def _json(value: object) -> str:
    """JSON that fits into a table."""
    text = json.dumps(value)
    return text if len(text) <= WIDE else f"{text[:WIDE]} …"


def _times(times: Times) -> tuple[str, ...]:
    lengths = (times.mean, times.median, times.p95, times.p99)
    return str(times.calls), *("" if one is None else f"{1000 * one:.3g} ms" for one in lengths)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4g}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
