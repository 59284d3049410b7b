"""What is wrong with a manifest: every fault with the path of its field and the remedy."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend in a manifest."""

    path: str
    """The field, as `spec.steps[0].split.variants[1].weight`."""

    message: str
    """What is wrong and what to do."""

    def __str__(self) -> str:
        """Return `PATH: MESSAGE`, as the command line prints it."""
        return f"{self.path}: {self.message}"


class InvalidManifest(ValueError):  # noqa: N818 - names the state, as the field's words do
    """A manifest that cannot be served; holds every fault that was found."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)
