"""A judgement in one word for programs and one sentence for people."""

from dataclasses import dataclass

from tiltyard_api.v1alpha1.conditions import ConditionReason


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why something is as it is."""

    reason: ConditionReason
    message: str
