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
    """Pods that say nothing for a moment, and ran what is wanted when they were heard last."""

    @property
    def text(self) -> str:
        """How many run what is wanted, of all, as `2/3`."""
        agreed = len(self.serving) - len(self.laggards) - len(self.silent)
        return f"{agreed}/{len(self.serving)}"


def sync(
    pods: Sequence[Pod],
    said: Mapping[str, Answer],
    table: RoutingTable | None,
    heard: float,
    now: float,
) -> Sync:
    """Compare what every pod that serves said with the table of the plan that is wanted.

    Args:
        pods: all pods.
        said: what those that serve said.
        table: what is wanted.
        heard: when all that served then were heard to run just that; 0: never.
        now: time of day.

    """
    laggards: list[str] = []
    silent: list[str] = []
    quiet: list[str] = []
    serving = [one for one in pods if one.serves]
    for one in serving:
        answer = said.get(one.name, Answer(silent_since=now))
        if answer.silent_since is None:
            if not _runs(answer, table):
                laggards.append(one.name)
        elif now - answer.silent_since >= PATIENCE:
            silent.append(one.name)
        else:
            (quiet if one.ready_since < heard else laggards).append(one.name)
    names = tuple(one.name for one in serving)
    return Sync(names, tuple(laggards), tuple(silent), tuple(quiet))


def _runs(answer: Answer, table: RoutingTable | None) -> bool:
    return table is not None and (answer.plan, answer.revision, answer.hash) == (
        table.plan,
        table.revision,
        table.hash,
    )
