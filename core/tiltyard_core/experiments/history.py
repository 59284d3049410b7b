"""How a comparison came to be what it is: a bounded number of moments, the older the sparser."""

from collections.abc import Sequence
from datetime import datetime

from tiltyard_api.v1alpha1.verdict import MOST_MOMENTS, Comparison, Moment, Verdict


def remembered(verdict: Verdict, before: Verdict | None, now: datetime) -> Verdict:
    """Add to what is judged now how it was judged earlier, by the metric that decides.

    Args:
        verdict: as it is now.
        before: as it was told last.
        now: time of day.

    """
    earlier = before.comparisons or () if before else ()
    known = {one.variant: one for one in earlier if one.metric == verdict.metric}
    rows = tuple(
        _row(one, known.get(one.variant), now) if one.metric == verdict.metric else one
        for one in verdict.comparisons or ()
    )
    return verdict.model_copy(update={"comparisons": rows or None})


def _row(now_row: Comparison, before: Comparison | None, now: datetime) -> Comparison:
    kept: Sequence[Moment] = before.history or () if before else ()
    units = now_row.units + now_row.control_units
    if kept and kept[-1].units > units:  # another experiment by the same name
        kept = ()
    if now_row.estimate is not None and _due(kept, units):
        moment = Moment(
            at=now,
            units=units,
            estimate=now_row.estimate,
            low=now_row.low,
            high=now_row.high,
        )
        kept = [*(kept if len(kept) < MOST_MOMENTS else kept[::2]), moment]
    return now_row.model_copy(update={"history": tuple(kept) or None})


def _due(kept: Sequence[Moment], units: int) -> bool:
    """Whether there are enough more units than at the last moment: at first one, then a share."""
    return not kept or units > kept[-1].units * (1 + 1 / MOST_MOMENTS)
