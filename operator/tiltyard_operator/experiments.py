"""What the experiment of a Pipeline has shown, by all the feedback that its engines took. Pure."""

from dataclasses import dataclass
from datetime import datetime

from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_api.v1alpha1.verdict import Verdict
from tiltyard_core.experiments.about import subject
from tiltyard_core.experiments.history import remembered
from tiltyard_core.experiments.verdict import judge
from tiltyard_operator.decide import Decision


@dataclass(frozen=True, slots=True)
class Shown:
    """What an experiment has shown."""

    step: str
    verdict: Verdict
    shortage: str = ""
    """What of the feedback cannot be written down; empty: nothing."""


def shown(decision: Decision, before: PipelineStatus, now: datetime) -> Shown | None:
    """Judge the experiment of a Pipeline; None: it has none.

    Args:
        decision: with the feedback.
        before: the status as it was, which tells how the verdict came to be.
        now: time of day.

    """
    version = decision.wish or decision.target
    about = subject(version.pipeline.spec) if version else None
    if about is None:
        return None
    verdict = judge(decision.collected.sums, about.experiment, about.variants)
    earlier = next((one.verdict for one in before.steps or () if one.name == about.step), None)
    fitted = decision.collected.fitted
    shortage = fitted.shortage if fitted else ""
    return Shown(about.step, remembered(verdict, earlier, now), shortage)
