"""What feedback comes to over all engines of a Pipeline, those that are gone too. Pure."""

from dataclasses import dataclass

from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.experimentledger import ExperimentLedger, Heard
from tiltyard_core.experiment import experiment_id
from tiltyard_core.experiments.ledger import remember, total
from tiltyard_operator.canaries import due
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.observed import Observed
from tiltyard_operator.room import Fitted, fitted


@dataclass(frozen=True, slots=True)
class Collected:
    """What engines said of an experiment."""

    ledger: ExperimentLedger | None = None
    """All of it; None: there is no experiment."""

    fitted: Fitted | None = None
    """What of it can be written down; None: likewise."""

    heard: tuple[Heard, ...] = ()
    """What this process must remember until it is written down."""

    @property
    def sums(self) -> ExperimentSums | None:
        """All feedback together; None: none."""
        return total(self.ledger) if self.ledger else None


NOTHING = Collected()


def collect(seen: Observed, bundle: Bundle) -> Collected:
    """Bring together what is kept, what is remembered and what pods say now."""
    if bundle.plan.experiment is None:
        return NOTHING
    heard = {one.sums.incarnation: one for one in seen.unwritten.heard}
    for pod, said in seen.said.items():
        if said.experiment:
            heard[said.experiment.incarnation] = Heard(pod=pod, sums=said.experiment)
    pods = {one.name: one.ending for one in seen.pods}
    ledger = remember(seen.experiment, experiment_id(bundle.plan), heard.values(), pods)
    stored = seen.experiment.over if seen.experiment else ()
    kept = tuple(one for name, one in heard.items() if name not in stored)
    ending = {name for name, ends in pods.items() if ends}
    return Collected(ledger, fitted(ledger, ending), kept)


def to_be_stored(seen: Observed, collected: Collected, now: float) -> bool:
    """Whether sums are to be written down: at once where somebody who counted goes."""
    ledger = collected.fitted.ledger if collected.fitted else None
    if ledger is None or ledger == seen.experiment or not (ledger.known or ledger.gone):
        return False
    return due(seen, now, gone=seen.experiment is None or seen.experiment.over != ledger.over)
