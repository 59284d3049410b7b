"""Whether the pods that serve run what is wanted, by their own word. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiltyard_api.routing import RoutingTable
from tiltyard_operator.observed import Answer
from tiltyard_operator.pods import Pod

PATIENCE = 5.0
"""Seconds for which a pod may be silent before its word is missed."""


@dataclass(frozen=True, slots=True)
class Sync:
    """What the pods said."""

    serving: tuple[str, ...]
    laggards: tuple[str, ...]
    """Pods that run another plan, revision or table, with what they run."""

    silent: tuple[str, ...]
    """Pods that say nothing for longer than they may."""

    quiet: tuple[str, ...]
    """Pods that say nothing, but not for long."""

    @property
    def agreed(self) -> int:
        """How many run what is wanted."""
        return len(self.serving) - len(self.laggards) - len(self.silent) - len(self.quiet)

    @property
    def text(self) -> str:
        """As `2/3`."""
        return f"{self.agreed}/{len(self.serving)}"


def sync(
    pods: Sequence[Pod], said: Mapping[str, Answer], table: RoutingTable | None, now: float
) -> Sync:
    """Compare what every pod that serves said with the table of the plan that is wanted."""
    laggards: list[str] = []
    silent: list[str] = []
    quiet: list[str] = []
    serving = [one.name for one in pods if one.serves]
    for name in serving:
        answer = said.get(name, Answer(silent_since=now))
        if answer.silent_since is not None:
            (silent if now - answer.silent_since >= PATIENCE else quiet).append(name)
        elif not _runs(answer, table):
            laggards.append(name)
    return Sync(tuple(serving), tuple(laggards), tuple(silent), tuple(quiet))


def _runs(answer: Answer, table: RoutingTable | None) -> bool:
    return table is not None and (answer.plan, answer.revision, answer.hash) == (
        table.plan,
        table.revision,
        table.hash,
    )
