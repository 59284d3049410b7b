"""Keep what was measured, one sample a run, and take medians of it."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """The figures of one server in one round of one case."""

    case: str
    server: str
    round: int
    figures: dict[str, float]


@dataclass
class Results:
    """All samples of a run, where it ran, and what did not work."""

    about: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, case: str, server: str, number: int, figures: dict[str, float]) -> None:
        """Keep one sample and show it, so that a long run can be followed."""
        self.samples.append(Sample(case, server, number, figures))
        shown = "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
        print(f"{case:14} {server:22} round {number + 1:2}  {shown}", flush=True)
        if figures.get("errors"):
            self.fail(f"{case}, {server}, round {number + 1}: answers were missing or wrong")

    def fail(self, what: str) -> None:
        """Keep a failure: the rest is still worth measuring, but nobody may overlook it."""
        if what not in self.failures:
            self.failures.append(what)
        print(f"FAILED: {what}", flush=True)

    def values(self, case: str, server: str, figure: str) -> dict[int, float]:
        """Return one figure by round."""
        return {
            sample.round: sample.figures[figure]
            for sample in self.samples
            if (sample.case, sample.server) == (case, server) and figure in sample.figures
        }

    def median(self, case: str, server: str, figure: str) -> float | None:
        """Return the median of a figure over the rounds, or None when it was not measured."""
        return median(self.values(case, server, figure).values())

    def ratio(self, case: str, above: str, below: str, figure: str) -> float | None:
        """Return the median of the ratios within each round, for what was measured in turn.

        What disturbs a round disturbs both, so the ratios are steadier than the figures.
        """
        tops, bottoms = self.values(case, above, figure), self.values(case, below, figure)
        return median(tops[n] / bottoms[n] for n in tops.keys() & bottoms.keys() if bottoms[n])

    def difference(self, case: str, above: str, below: str, figure: str) -> float | None:
        """Return the median of the differences within each round."""
        tops, bottoms = self.values(case, above, figure), self.values(case, below, figure)
        return median(tops[n] - bottoms[n] for n in tops.keys() & bottoms.keys())

    def servers(self, case: str) -> list[str]:
        """Return who was measured in a case, in the order of the samples."""
        return list(dict.fromkeys(s.server for s in self.samples if s.case == case))

    def save(self, path: Path) -> None:
        """Write everything, so that tables can be made again without measuring again."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` wrote."""
        stored = json.loads(path.read_text())
        stored["samples"] = [Sample(**sample) for sample in stored["samples"]]
        return cls(**stored)


def median(values: Iterable[float]) -> float | None:
    """Return the median, or None of nothing."""
    collected = list(values)
    return statistics.median(collected) if collected else None


def spread(values: Iterable[float]) -> float:
    """Return the distance from lowest to highest as a share of the median."""
    collected = list(values)
    middle = median(collected)
    return (max(collected) - min(collected)) / middle if middle else 0.0
