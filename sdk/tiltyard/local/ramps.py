"""Moves the canaries that are served here, by the function that moves them in a cluster.

Where each of them stands is kept in a file, so that a ramp goes on where it was when it is served
again, and a candidate that was rolled back stays so.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tiltyard.local import kept
from tiltyard.local.compiled import Compiled
from tiltyard.manifests import Manifest
from tiltyard.notices import notice
from tiltyard_api.base import Contract
from tiltyard_api.evidence import CanaryLedger, CanaryReport
from tiltyard_api.routing import CanaryRouting
from tiltyard_api.v1alpha1.stage import CanaryState
from tiltyard_api.v1alpha1.status import StepStatus
from tiltyard_core.canary import Outcome, Seen, Wanted, decide, routing
from tiltyard_core.counts import remember, total

RAMPS = "ramps"
"""Folder beside the store of models."""

KEEP_SECONDS = 10.0
"""How often counts are kept; where a ramp stands is kept whenever it moves."""

States = Mapping[str, CanaryState]
"""Where the canaries of a Pipeline stand, by step."""


class Kept(Contract):
    """Content of a file."""

    state: CanaryState | None = None
    """None: the ramp has not begun."""

    ledger: CanaryLedger | None = None


class Ramp:
    """A canary that is served.

    Args:
        file: where it is kept.
        name: as people are told of it.

    """

    def __init__(self, file: Path, name: str) -> None:
        self._file = file
        self._name = name
        self._kept = _read(file)
        self._kept_at = 0.0
        self._said: object = None

    def begun(self, want: Wanted, now: float) -> CanaryState:
        """Where it stands when it is served: at its beginning, edited, or as it was kept."""
        return decide(want, self._kept.state, Seen(), now).state

    def keep(self, state: CanaryState) -> None:
        """Go on from here, also when it is served again."""
        if state != self._kept.state:
            self._kept = self._kept.model_copy(update={"state": state})
            kept.write(self._file, self._kept)

    def look(
        self, want: Wanted, seen: CanaryReport, order: str, now: float, *, all_in: bool
    ) -> CanaryState:
        """Decide by what an engine says, and tell people what is new."""
        stage = self._kept.state.stage.id if self._kept.state else ""
        ledger = remember(self._kept.ledger, stage, [seen.counts])
        latches = [seen.latch] if seen.latch else []
        in_force = all_in and seen.counts.stage == stage
        outcome = decide(want, self._kept.state, Seen(total(ledger), in_force, latches, order), now)
        self._kept = self._kept.model_copy(update={"ledger": ledger})
        if now - self._kept_at > KEEP_SECONDS:
            self._kept_at = now
            kept.write(self._file, self._kept)
        self.keep(outcome.state)
        self._tell(outcome)
        return outcome.state

    def _tell(self, outcome: Outcome) -> None:
        stage = outcome.state.stage
        news = stage.id, outcome.reason
        if news != self._said and (stage.since or outcome.state.latched):
            self._said = news
            notice(f"{self._name}: {outcome.reason}: {outcome.message}")


class Ramps:
    """The canaries that are served.

    Args:
        folder: where they are kept.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ramps: dict[Path, Ramp] = {}

    def begun(self, compiled: Compiled, now: float) -> States:
        """Where the canaries of a Pipeline stand when it is served."""
        return {
            step: self._of(compiled, step).begun(want, now)
            for step, want in compiled.canaries.items()
        }

    def keep(self, compiled: Compiled, states: States) -> None:
        """Go on from these states."""
        for step, state in states.items():
            self._of(compiled, step).keep(state)

    def look(
        self, compiled: Compiled, seen: Mapping[str, CanaryReport], now: float, *, all_in: bool
    ) -> States:
        """Decide by what an engine says of each canary.

        Args:
            compiled: the Pipeline.
            seen: by step.
            now: time of day.
            all_in: whether every worker runs the table that was handed over last.

        """
        order = compiled.manifest.order
        return {
            step: self._of(compiled, step).look(want, seen[step], order, now, all_in=all_in)
            for step, want in compiled.canaries.items()
        }

    def _of(self, compiled: Compiled, step: str) -> Ramp:
        file = kept.file_of(self._folder, compiled.manifest, step)
        if file not in self._ramps:
            self._ramps[file] = Ramp(file, f"{compiled.manifest.name}.{step}")
        return self._ramps[file]


def routings(compiled: Compiled, states: States) -> dict[str, CanaryRouting]:
    """What engines are to do in these states."""
    return {step: routing(want, states[step]) for step, want in compiled.canaries.items()}


def canaries_kept(folder: Path, manifest: Manifest) -> Iterator[StepStatus]:
    """Say where the canaries of a Pipeline stand that somebody else serves."""
    for step in manifest.pipeline.spec.steps:
        file = kept.file_of(folder, manifest, step.name)
        state = _read(file).state if step.canary else None
        if state:
            yield StepStatus(name=step.name, stage=state.stage, latched=state.latched)


def _read(file: Path) -> Kept:
    return kept.read(file, Kept, "its ramp") or Kept()
