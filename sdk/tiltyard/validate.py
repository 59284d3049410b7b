"""`tiltyard validate`: everything that is wrong with manifests, one line each."""

from collections.abc import Sequence
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.manifests import read_manifests
from tiltyard.notices import notice, result


def validate(files: Sequence[Path]) -> None:
    """Check manifests without looking at their models.

    Raises:
        Failure: there are faults; standard output lists them.

    """
    try:
        manifests = read_manifests(files)
    except Failure as failure:
        for line in failure.lines:
            result(line)
        count = len(failure.lines)
        faults = "one fault" if count == 1 else f"{count} faults"
        raise Failure(f"not valid: mend {faults} and validate again") from failure
    for line in (
        *manifests.unpinned_sources(),
        *manifests.unknown_references(),
        *manifests.unchecked_validations(),
    ):
        notice(f"warning: {line}")
    for manifest in manifests.pipelines:
        result(f"{manifest.place}: Pipeline {manifest.name} is valid")
    for shared in manifests.models:
        result(f"{shared.place}: Model {shared.model.metadata.name} is valid")
