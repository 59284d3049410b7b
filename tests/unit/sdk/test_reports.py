import random
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from rich.console import Console

from feedback import divided, experiment, stratum, sums
from tiltyard.reportpage import page
from tiltyard.reporttables import picture
from tiltyard_api.figures import Disagreement
from tiltyard_api.v1alpha1.verdict import (
    MOST_MOMENTS,
    Agreement,
    Flips,
    Interval,
    LabelQuality,
    Rate,
    Report,
    Times,
    Verdict,
    Wins,
)
from tiltyard_core.experiments.history import remembered
from tiltyard_core.experiments.verdict import judge

START = datetime(2026, 3, 1, tzinfo=UTC)
PAIR = ("old", "new")


def verdict(units: int, seed: int = 1) -> Verdict:
    outcomes = divided(random.Random(seed), units, 0.5, (0.1, 0.2))
    found = sums(stratum("s", {"old": 0.5, "new": 0.5}, outcomes))
    return judge(found, experiment(), PAIR)


def grown(looks: int) -> Verdict:
    found = None
    for look in range(looks):
        found = remembered(verdict(400 + 100 * look), found, START + timedelta(hours=look))
    assert found
    return found


def shown(report: Report) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(picture(report))
    return captured.get()


def test_a_table_has_a_row_for_each_comparison_with_all_of_its_figures() -> None:
    found = verdict(3000)
    text = shown(Report(pipeline="shop", step="rank", alpha=0.05, verdict=found))
    assert found.message in text
    (row,) = found.comparisons or ()
    for word in (
        "sold",
        "better",
        f"{row.estimate:+.4g}",
        f"{row.low:+.4g}",
        f"{row.p:.2g}",
        "95 %",
    ):
        assert word in text


def test_wins_labels_and_shadows_have_tables_of_their_own() -> None:
    (row,) = verdict(3000).comparisons or ()
    wins = Wins(wins=30, control_wins=17, ties=4, sampled=1, p=0.02, sign_p=0.01)
    labels = LabelQuality(
        metric="fraud",
        variant="new",
        values=9,
        f1=0.5,
        roc_auc=0.75,
        roc_auc_error=0.0625,
        fixed_intervals={
            "f1": Interval(low=0.3125, high=0.6875),
            "rocAuc": Interval(low=0.51, high=0.89),
        },
    )
    found = verdict(3000).model_copy(
        update={"comparisons": (row.model_copy(update={"wins": wins}),), "labels": (labels,)}
    )
    times = Times(calls=7, mean=0.002, median=0.001, p95=0.004, p99=0.005)
    shadow = Agreement(
        step="alarm",
        challenger="mlp",
        champion="gb",
        compared=10,
        matched=9,
        rate=0.9,
        low=0.6,
        high=0.98,
        flips=Flips(
            both_above=3,
            both_below=4,
            flips=Rate(count=3, of=10, rate=0.3, low=0.11, high=0.6),
            false_negatives=Rate(count=1, of=4, rate=0.25, low=0.05, high=0.7),
            false_positives=Rate(count=2, of=6, rate=1 / 3, low=0.1, high=0.77),
        ),
        worst=(
            Disagreement(at=1, champion=["a"], challenger=["b"], inputs={"x": [7] * 99}),
            Disagreement(at=2, difference=0.125, champion=[0.5], challenger=[0.375]),
        ),
        times=times,
        champion_times=times,
    )
    text = shown(Report(pipeline="shop", step="rank", verdict=found, shadows=(shadow,)))
    for word in ("30", "17", "alarm", "90 %", "98 %", "5 ms"):
        assert word in text
    rows = [line.split() for line in text.splitlines()]
    assert ["F1", "0.5", "0.3125", "0.6875"] in rows
    assert ["ROC-AUC", "0.75", "+-", "0.062", "0.51", "0.89"] in rows
    assert ["recall"] in rows
    assert "for one look at the end" in text
    for words in (
        "no number",
        '["b"]',
        "7, 7, …",
        "0.125",
        "[0.375]",
        "null",
        "both yes",
        "yes where the champion says no",
        "33.33 %",
        "77 %",
    ):
        assert words in text
    assert "not said anything" in shown(Report(pipeline="shop", step="rank"))


class Tags(HTMLParser):
    """What a page is made of, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [name for name, _ in attrs if name in ("src", "href", "onload", "onclick")]


def test_a_page_draws_how_a_comparison_came_to_be_and_needs_nothing_else() -> None:
    report = Report(pipeline="shop", step="rank", alpha=0.05, verdict=grown(6))
    text = page(report, START)
    tags = Tags()
    tags.feed(text)
    assert tags.loads == []
    assert not {"script", "link", "img", "iframe"} & set(tags.tags)
    assert {"svg", "polygon", "polyline", "pre"} <= set(tags.tags)
    assert "sold: new less old" in text
    assert "2026-03-01 05:00" in text


def test_names_are_no_markup() -> None:
    text = page(Report(pipeline="<b>x</b>", step="rank"), START)
    assert "<b>" not in text
    assert "&lt;b&gt;x" in text


def test_a_page_without_a_history_says_so() -> None:
    assert "too few moments" in page(Report(pipeline="shop", verdict=grown(1)), START)


def test_history_is_bounded_and_reaches_back_to_the_beginning() -> None:
    found = None
    row = (verdict(400).comparisons or ())[0]
    for look in range(1000):
        units = row.model_copy(update={"units": round(1.05**look) if look < 400 else 10**9 + look})
        now = Verdict(metric="sold", conclusive=False, reason="x", message="", comparisons=(units,))
        found = remembered(now, found, START + timedelta(minutes=look))
        kept = (found.comparisons or ())[0].history or ()
        assert 1 <= len(kept) <= MOST_MOMENTS
        assert kept[0].at == START
    assert [one.units for one in kept] == sorted(one.units for one in kept)


def test_another_experiment_has_a_history_of_its_own() -> None:
    before = grown(4)
    again = remembered(verdict(300), before, START + timedelta(days=1))
    history = (again.comparisons or ())[0].history
    assert history is not None
    assert len(history) == 1


@pytest.mark.parametrize("units", [400, 3000])
def test_what_has_not_grown_is_no_new_moment(units: int) -> None:
    first = remembered(verdict(units), None, START)
    second = remembered(verdict(units), first, START + timedelta(hours=1))
    assert second == first
