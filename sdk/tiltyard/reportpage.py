"""A report as one page of HTML that needs nothing else: no script, no font, no address."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from rich.console import Console

from tiltyard.reporttables import picture
from tiltyard_api.v1alpha1.verdict import Comparison, Moment, Report

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 70, 10, 14, 34
"""Room around what is drawn, for what is written."""

TICKS = 5

STYLE = """
body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222 }
pre { overflow-x: auto; background: #f6f6f6; padding: 1em; font-size: 13px; line-height: 1.4 }
svg { max-width: 100%; font: 11px sans-serif }
.band { fill: #2a6f97; opacity: .2 } .line { stroke: #2a6f97; fill: none; stroke-width: 2 }
.zero { stroke: #b00; stroke-dasharray: 4 3 } .axis { stroke: #ccc } text { fill: #555 }
"""


def page(report: Report, now: datetime) -> str:
    """Write the page."""
    title = escape(f"Report on {report.pipeline}")
    text = _text(report)
    plots = "".join(_plots(report))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        f"<p>{escape(f'{now:%Y-%m-%d %H:%M:%S %Z}')}</p>\n<pre>{escape(text)}</pre>\n{plots}"
        "</body></html>\n"
    )


def _text(report: Report) -> str:
    """Give what a terminal shows."""
    console = Console(width=170, color_system=None)
    with console.capture() as captured:
        console.print(picture(report))
    return captured.get()


def _plots(report: Report) -> Iterator[str]:
    for one in (report.verdict.comparisons or ()) if report.verdict else ():
        if one.history:
            title = f"{one.metric}: {one.variant} less {one.control}"
            yield f"<h2>{escape(title)}</h2>\n{_plot(_known(one), title)}\n"


def _known(row: Comparison) -> list[Moment]:
    """Give the moments with an interval: before there is one, there is nothing to draw."""
    return [one for one in row.history or () if one.low is not None and one.high is not None]


def _plot(moments: Sequence[Moment], title: str) -> str:
    """Draw the estimate with its interval over time."""
    if len(moments) < 2:
        return "<p>There are too few moments to draw yet.</p>"
    start, end = (moments[at].at.timestamp() for at in (0, -1))
    values = [value for one in moments for value in (one.low or 0.0, one.high or 0.0)]
    low, high = min(0.0, *values), max(0.0, *values)
    span, wide = end - start or 1.0, high - low or 1.0

    def at(moment: Moment, value: float | None) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (moment.at.timestamp() - start) / span
        return f"{x:.1f},{_height(value or 0.0, low, wide):.1f}"

    upper = [at(one, one.high) for one in moments]
    lower = [at(one, one.low) for one in reversed(moments)]
    line = [at(one, one.estimate) for one in moments]
    zero = _height(0.0, low, wide)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">'
        f"<title>{escape(title)} over time</title>{_axis(low, high)}"
        f'<polygon class="band" points="{" ".join(upper + lower)}"/>'
        f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        f'<polyline class="line" points="{" ".join(line)}"/>{_times(moments)}</svg>'
    )


def _height(value: float, low: float, wide: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / wide


def _axis(low: float, high: float) -> str:
    parts = []
    for number in range(TICKS):
        value = low + (high - low) * number / (TICKS - 1)
        y = _height(value, low, high - low or 1.0)
        parts.append(
            f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:+.3g}</text>'
        )
    return "".join(parts)


def _times(moments: Sequence[Moment]) -> str:
    first, last = moments[0], moments[-1]
    y = HEIGHT - 12
    return (
        f'<text x="{LEFT}" y="{y}">{first.at:%Y-%m-%d %H:%M}, {first.units} units</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">'
        f"{last.at:%Y-%m-%d %H:%M}, {last.units} units</text>"
    )
