"""What resolve Jobs found of models, and when they are to try again. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tiltyard_api.artifacts import TrialReport
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_operator.desired.history import Fact
from tiltyard_operator.desired.metadata import Owner
from tiltyard_operator.desired.resolving import ATTEMPT, KEY, LAST_FAILURE
from tiltyard_operator.kinds import Object
from tiltyard_operator.pods import artifact_reason, blocked, stamp
from tiltyard_operator.verdicts import Verdict

FIRST_PAUSE = 10.0
"""Seconds between a trial that failed and the next; each later pause is twice as long."""

LONGEST_PAUSE = 600.0

LONGEST_FOR_SECRETS = 60.0
"""Likewise where a Secret is missing: nobody tells us when it comes, and looking costs little."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A resolve Job."""

    obj: Object
    ours: bool
    number: int
    """How many before it failed."""

    fact: Fact | None
    """What it found."""

    failure: Verdict | None
    """Why it found nothing; or, while it runs, why the one before did."""

    ended_at: float | None
    """None: it still runs."""

    @property
    def due(self) -> float | None:
        """When it is to be tried again; None: not at all."""
        if self.ended_at is None or self.fact:
            return None
        secret = self.failure and self.failure.reason is ConditionReason.SECRET_NOT_FOUND
        longest = LONGEST_FOR_SECRETS if secret else LONGEST_PAUSE
        return self.ended_at + min(FIRST_PAUSE * 2.0**self.number, longest)


def observe_attempts(
    owner: Owner, jobs: Iterable[Object], pods: Iterable[Object]
) -> Mapping[str, tuple[Attempt, ...]]:
    """Take the facts out of resolve Jobs and their pods, by what they try."""
    by_job: dict[str, list[Object]] = {}
    for pod in pods:
        for one in pod["metadata"].get("ownerReferences") or ():
            by_job.setdefault(one["uid"], []).append(pod)
    found: dict[str, tuple[Attempt, ...]] = {}
    for job in jobs:
        key = (job["metadata"].get("annotations") or {}).get(KEY, "")
        attempt = _attempt(owner, job, by_job.get(job["metadata"]["uid"], ()), key)
        found[key] = (*found.get(key, ()), attempt)
    return found


def _attempt(owner: Owner, job: Object, pods: Sequence[Object], key: str) -> Attempt:
    head = job["metadata"]
    notes = head.get("annotations") or {}
    number = notes.get(ATTEMPT, "0")
    report, ended_at = _report(pods), _ended_at(job)
    fact = failure = None
    if report and report.resolved:
        fact = Fact(key=key, resolved=report.resolved, address=report.address)
    elif report and report.reason:
        failure = Verdict(artifact_reason(report.reason), report.fault or report.reason)
    elif ended_at is not None:
        failure = _without_report(job, pods)
    elif any(map(blocked, pods)):
        why = next(filter(None, map(blocked, pods)))
        said = f"the Job that fetches and tries it cannot start: {why}"
        failure = Verdict(ConditionReason.RESOLVE_FAILED, said)
    elif LAST_FAILURE in notes:
        reason, _, message = notes[LAST_FAILURE].partition(": ")
        failure = Verdict(artifact_reason(reason), message)
    return Attempt(
        obj=job,
        ours=any(one["uid"] == owner.uid for one in head.get("ownerReferences") or ()),
        number=int(number) if number.isdecimal() else 0,
        fact=fact,
        failure=failure,
        ended_at=ended_at,
    )


def _report(pods: Iterable[Object]) -> TrialReport | None:
    """Last words of the container that tried."""
    for pod in pods:
        for one in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (one.get("state") or {}).get("terminated") or {}
            try:
                return TrialReport.model_validate_json(ended.get("message") or "")
            except ValidationError:
                continue
    return None


def _ended_at(job: Object) -> float | None:
    for one in (job.get("status") or {}).get("conditions") or ():
        if one["type"] in ("Complete", "Failed") and one["status"] == "True":
            return stamp(one["lastTransitionTime"])
    return None


def _without_report(job: Object, pods: Iterable[Object]) -> Verdict:
    """Why a Job ended and said nothing."""
    said = "it ended without a report: see the log of the Job"
    for one in (job.get("status") or {}).get("conditions") or ():
        if one.get("reason") == "DeadlineExceeded":
            most = f"{job['spec']['activeDeadlineSeconds']} s"
            remedy = "the operator's TILTYARD_FETCH_TIME and TILTYARD_TRIAL_TIME allow more"
            said = f"fetching and trying it took longer than {most}: {remedy}"
    for pod in pods:
        for one in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (one.get("state") or {}).get("terminated") or {}
            if ended.get("reason") == "OOMKilled":
                said = "trying it needed more memory than there was: raise deployment.memory"
        if blocked(pod):
            said = f"{said} ({blocked(pod)})"
    return Verdict(ConditionReason.RESOLVE_FAILED, said)
