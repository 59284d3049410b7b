"""What challengers did beside champions on all pods, those that are gone too. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tiltyard_api.figures import VariantFigures
from tiltyard_api.plan import Plan, PlanShadow
from tiltyard_api.shadowledger import MOST_OVER, Figures, ShadowLedger
from tiltyard_core.figures import united
from tiltyard_operator.canaries import due
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.observed import Observed, Spoke


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What pods said of shadows."""

    ledger: ShadowLedger | None = None
    """All of it; None: there is no shadow."""

    heard: Mapping[str, Spoke] = field(default_factory=dict)
    """What this process must remember, by pod."""


NONE = Shadowed()


def collect(seen: Observed, bundle: Bundle) -> Shadowed:
    """Bring together what is kept, what is remembered and what pods say now."""
    steps, plan = _steps(bundle.plan), bundle.plan_hash
    if not steps:
        return NONE
    before = seen.shadows if seen.shadows and seen.shadows.plan == plan else None
    before = before or ShadowLedger(plan=plan)
    now = {
        pod: Spoke(plan, said.variants)
        for pod, said in seen.said.items()
        if said.plan == plan and said.variants
    }
    heard = {
        pod: one
        for pod, one in {**seen.unwritten.spoke, **now}.items()
        if one.plan == plan and pod not in before.over
    }
    pods = {one.name for one in seen.pods}
    leaving = [pod for pod in sorted(heard) if pod not in pods][:MOST_OVER]
    gone = _added(steps, before.gone, [heard[pod] for pod in leaving])
    there = [heard[pod] for pod in sorted(heard) if pod not in leaving]  # sums of seconds stay
    ledger = ShadowLedger(
        plan=plan,
        total=_added(steps, gone, there),
        gone=gone,
        over=(*before.over, *leaving)[-MOST_OVER:],
    )
    return Shadowed(ledger, heard)


def to_be_stored(seen: Observed, shadowed: Shadowed, now: float) -> bool:
    """Whether it is to be written down: at once where a pod goes."""
    ledger = shadowed.ledger
    if ledger is None or ledger == seen.shadows or not ledger.total:
        return False
    return due(seen, now, gone=seen.shadows is None or seen.shadows.over != ledger.over)


def _steps(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Champion and challengers of each shadow."""
    return {
        one.name: (one.champion, *one.challengers)
        for one in plan.steps
        if isinstance(one, PlanShadow)
    }


def _added(steps: Mapping[str, Sequence[str]], before: Figures, spoke: Sequence[Spoke]) -> Figures:
    """Add what pods said to what was known."""
    found: Figures = {}
    for step, variants in steps.items():
        for variant in variants:
            known = before.get(step, {}).get(variant)
            parts: list[VariantFigures] = [known] if known else []
            parts += [one.said[step, variant] for one in spoke if (step, variant) in one.said]
            if parts:
                found.setdefault(step, {})[variant] = united(parts)
    return found
