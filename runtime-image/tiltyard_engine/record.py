"""Counts what became of a call. Runs in the event loop, after the answer was written."""

from tiltyard_api.plan import Plan, PlanDrawn, PlanShadow
from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call, Run
from tiltyard_engine.comparison import Compared
from tiltyard_engine.counters import Block
from tiltyard_engine.metrics import (
    CODES,
    DROPPED,
    MATCHES,
    MODEL_REASONS,
    NO_PIPELINE,
    PARTS_PER_UNIT,
    PROTOCOLS,
    TRANSPORTS,
    VALIDATION_ERRORS,
    confusion_series,
    variants_of,
)
from tiltyard_engine.validations.verdicts import ANOMALY, ERROR, LATE


class VariantCounter:
    """The series of one model in one step."""

    def __init__(self, block: Block, labels: tuple[str, str, str]) -> None:
        self._block = block
        self._requests = block.offset("tiltyard_variant_requests_total", *labels)
        self._rows = block.offset("tiltyard_variant_rows_total", *labels)
        self._seconds = block.offset("tiltyard_variant_seconds", *labels, histogram=True)
        self._nonfinite = block.offset("tiltyard_nonfinite_outputs_total", *labels)
        self._errors = {
            reason: block.offset("tiltyard_variant_errors_total", *labels, reason)
            for reason in MODEL_REASONS
        }

    def count(self, run: Run) -> None:
        """Count one run of the model for one request."""
        if run.reason is not None:
            self.count_failure(run.rows, run.seconds, run.reason)
        else:
            self.count_together(1, run.rows, run.seconds, run.nonfinite)

    def count_together(self, requests: int, rows: int, seconds: float, nonfinite: int) -> None:
        """Count one run of the model for several requests."""
        words = self._block.words
        words[self._requests] += requests
        words[self._rows] += rows
        self._block.observe(self._seconds, seconds, requests)
        if nonfinite:
            words[self._nonfinite] += nonfinite

    def count_failure(self, rows: int, seconds: float, reason: Reason) -> None:
        """Count a run that gave one request nothing."""
        self.count_together(1, rows, seconds, 0)
        self._block.words[self._errors[reason]] += 1


class Recorder:
    """Counts the calls of one Pipeline."""

    def __init__(self, plan: Plan, block: Block) -> None:
        name = plan.pipeline
        self._block = block
        self._codes = {
            (protocol, int(code)): block.offset("tiltyard_requests_total", name, protocol, code)
            for protocol in PROTOCOLS
            for code in CODES
        }
        self._seconds = block.offset("tiltyard_request_seconds", name, histogram=True)
        self._rows = block.offset("tiltyard_rows_total", name)
        self._variants = {
            (step.name, variant): VariantCounter(block, (name, step.name, variant))
            for step in plan.steps
            for variant in variants_of(step)
        }
        drawn = [step.name for step in plan.steps if isinstance(step, PlanDrawn)]
        self._missing = {s: block.offset("tiltyard_hash_key_missing_total", name, s) for s in drawn}
        self._pinned = {s: block.offset("tiltyard_pinned_requests_total", name, s) for s in drawn}
        self._shadow = {
            (step.name, c): ShadowCounter(block, (name, step.name, c))
            for step in plan.steps
            if isinstance(step, PlanShadow)
            for c in step.challengers
        }

        self._validations = {
            one.name: ValidationCounter(block, name, one.name) for one in plan.validations or ()
        }

    def refused(self, status: int, protocol: str) -> None:
        """Count a request that was refused before it became a call."""
        self._block.words[self._codes[protocol, status]] += 1

    def answered(self, call: Call, status: int, seconds: float, protocol: str) -> None:
        """Count a call and everything it met on its way."""
        words = self._block.words
        words[self._codes[protocol, status]] += 1
        words[self._rows] += call.rows
        self._block.observe(self._seconds, seconds)
        for run in call.runs:
            self._variants[run.step, run.variant].count(run)
        for step in call.missing_keys:
            words[self._missing[step]] += 1
        for step in call.pins:
            words[self._pinned[step]] += 1
        for step, challenger, taken in call.offers:
            self._shadow[step, challenger].asked(taken=taken)
        for step, challenger, compared in call.compared:
            self._shadow[step, challenger].compared(compared)
        for name, verdicts in call.anomalies.items():
            self._validations[name].count(verdicts)

    def offered(self, step: str, challenger: str, offered: int, taken: int) -> None:
        """Count requests for nobody's answer, and how many of them went on their way."""
        self._shadow[step, challenger].offered(offered, taken)

    def account(self, step: str, challenger: str) -> "ChallengerAccount":
        """What a challenger's lane calls from its own thread."""
        key = step, challenger
        return ChallengerAccount(self._variants[key], self._shadow[key])


class ValidationCounter:
    """The series of one validation."""

    def __init__(self, block: Block, *labels: str) -> None:
        self._words = block.words
        self._found = block.offset("tiltyard_validation_failures_total", *labels)
        failed, late = (
            block.offset("tiltyard_validation_errors_total", *labels, reason)
            for reason in VALIDATION_ERRORS
        )
        self._errors = ((ERROR, failed), (LATE, late))

    def count(self, verdicts: bytes) -> None:
        """Count what it says of the rows of a call."""
        words = self._words
        words[self._found] += verdicts.count(ANOMALY)
        for verdict, offset in self._errors:
            words[offset] += verdicts.count(verdict)


class ChallengerAccount:
    """Counts what a lane tells."""

    def __init__(self, variant: VariantCounter, shadow: "ShadowCounter") -> None:
        self._variant = variant
        self._shadow = shadow
        self.compared = shadow.compared
        self.late = shadow.late
        self.shutdown = shadow.shutdown

    def ran(self, requests: int, rows: int, seconds: float, nonfinite: int) -> None:
        """Count requests that the model answered in one call."""
        self._variant.count_together(requests, rows, seconds, nonfinite)
        self._shadow.ran(requests)

    def failed(self, rows: int, seconds: float, reason: Reason) -> None:
        """Count a request that the model failed."""
        self._variant.count_failure(rows, seconds, reason)
        self._shadow.failed(reason)


class ShadowCounter:
    """The series of one challenger: offered = run + dropped + failed, once its lane is empty."""

    def __init__(self, block: Block, labels: tuple[str, str, str]) -> None:
        self._words = block.words
        self._offered = block.offset("tiltyard_shadow_offered_total", *labels)
        self._run = block.offset("tiltyard_shadow_run_total", *labels)
        self._dropped = {
            reason: block.offset("tiltyard_shadow_dropped_total", *labels, reason)
            for reason in DROPPED
        }
        self._failed = {
            reason: block.offset("tiltyard_shadow_failed_total", *labels, reason)
            for reason in MODEL_REASONS
        }
        self._match, self._mismatch = (
            block.offset("tiltyard_shadow_compared_total", *labels, result) for result in MATCHES
        )
        self._sides = block.places(confusion_series(labels))

    def offered(self, offered: int, taken: int) -> None:
        """Count requests that were offered for nobody's answer, and the rest that went nowhere."""
        self._words[self._offered] += offered
        self._words[self._dropped["starved"]] += offered - taken

    def asked(self, *, taken: bool) -> None:
        """Count a request whose answer is waited for."""
        self._words[self._offered] += 1
        self._words[self._dropped["full"]] += not taken

    def ran(self, requests: int) -> None:
        """Count requests that the challenger answered."""
        self._words[self._run] += requests

    def compared(self, found: Compared) -> None:
        """Count rows that were compared with the champion's."""
        self._words[self._match] += found.rows - len(found.misses)
        self._words[self._mismatch] += len(found.misses)
        for offset, rows in zip(self._sides, found.sides, strict=False):  # none: no threshold
            self._words[offset] += rows

    def failed(self, reason: Reason) -> None:
        """Count a request that the challenger failed."""
        self._words[self._failed[reason]] += 1

    def late(self, requests: int) -> None:
        """Count requests that waited too long."""
        self._words[self._dropped["late"]] += requests

    def shutdown(self, requests: int) -> None:
        """Count requests that still waited when the engine ended."""
        self._words[self._dropped["shutdown"]] += requests

    def full(self, requests: int) -> None:
        """Count requests that found the queue full."""
        self._words[self._dropped["full"]] += requests

    def crashed(self, requests: int) -> None:
        """Count requests that a process took with it when it died."""
        self._words[self._dropped["crashed"]] += requests

    def ended(self) -> int:
        """Requests that reached the challenger's process and came to an end there."""
        dropped = (offset for reason, offset in self._dropped.items() if reason != "starved")
        offsets = (self._run, *dropped, *self._failed.values())
        return sum(self._words[offset] for offset in offsets)

    def open(self) -> int:
        """Requests that were offered and have come to no end yet."""
        starved = self._words[self._dropped["starved"]]
        return int(self._words[self._offered]) - starved - self.ended()


class NoPipelineRecorder:
    """Counts what was refused before a Pipeline was known."""

    def __init__(self, block: Block) -> None:
        self._words = block.words
        self._codes = {
            (transport, int(code)): block.offset(
                "tiltyard_requests_total", NO_PIPELINE, transport, code
            )
            for transport in TRANSPORTS
            for code in CODES
        }

    def answered(self, status: int, transport: str = "http") -> None:
        """Count one answer."""
        self._words[self._codes[transport, status]] += 1


def weight_parts(share: float) -> int:
    """A share as the counter file keeps it."""
    return round(share * PARTS_PER_UNIT)
