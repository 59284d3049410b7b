"""`tiltyard report`: what the experiment and the shadows of a Pipeline have shown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tiltyard.failure import Failure, elsewhere
from tiltyard.local.verdicts import verdict
from tiltyard.manifests import Manifest, read_manifests
from tiltyard.notices import document, notice
from tiltyard.reportpage import page
from tiltyard.reporttables import picture
from tiltyard.tables import console
from tiltyard.transport import Transport
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.figures import Disagreement, VariantFigures
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.shadowledger import read_shadows
from tiltyard_api.v1alpha1.pipeline import PipelineSpec
from tiltyard_api.v1alpha1.verdict import Agreement, Report
from tiltyard_core.experiments.about import subject
from tiltyard_core.experiments.shadow import beside

if TYPE_CHECKING:
    from tiltyard.cluster import Cluster

Figures = Mapping[str, Mapping[str, Sequence[VariantFigures]]]
"""What each engine counted, by step and variant."""


def report(what: str, namespace: str | None, url: str, output: str, html: Path | None) -> None:
    """Say what a Pipeline has shown.

    Args:
        what: name of a Pipeline of a cluster, or a manifest that is served on this machine.
        namespace: of the Pipeline; None: where the kubeconfig says.
        url: management port of the engine that serves the manifest.
        output: `table`, `json` or `yaml`.
        html: where a page goes, too.

    Raises:
        Failure: nothing is known of it.

    """
    if Path(what).is_file():
        found = _of_file(Path(what), url)
    else:
        with elsewhere(what):
            found = of_cluster(what, namespace)
    if html:
        html.write_text(page(found, datetime.now(UTC)))
        notice(f"wrote {html}")
    if output == "table":
        console().print(picture(found))
    else:
        document(json.loads(found.model_dump_json(by_alias=True, exclude_none=True)), output)


def of_cluster(name: str, namespace: str | None) -> Report:
    """Read what the operator says of a Pipeline.

    Raises:
        Failure: there is none, or it has neither experiment nor shadow.

    """
    from tiltyard.cluster import Cluster  # noqa: PLC0415 - what is served here needs no cluster

    with Cluster(namespace) as cluster:
        return of_pipeline(cluster, name)


def of_pipeline(cluster: "Cluster", name: str) -> Report:
    """Read what the operator says of a Pipeline: in its status, and of shadows in the evidence.

    Raises:
        Failure: there is none, it has neither experiment nor shadow, or the evidence is not to be
            read.

    """
    from tiltyard.cluster import read_status  # noqa: PLC0415 - what is served here needs none

    document = cluster.pipeline(name)
    spec = read_pipeline(document).spec
    about, steps = subject(spec), read_status(document).steps or ()
    shadowed = any(one.shadow for one in spec.steps)
    ledger = read_shadows(cluster.evidence(name)) if shadowed else None
    total = ledger.total if ledger else {}
    figures = {
        step: {variant: [one] for variant, one in found.items()} for step, found in total.items()
    }
    return _told(
        spec,
        Report(
            pipeline=name,
            step=about.step if about else None,
            alpha=about.experiment.alpha if about else None,
            verdict=next((one.verdict for one in steps if one.verdict), None),
            shadows=tuple(_shadows(spec, figures, {})) or None,
        ),
    )


def of_engine(manifest: Manifest, url: str) -> Report:
    """Ask the engine that serves a manifest.

    Raises:
        Failure: it does not answer, does not serve it, or there is nothing to report.

    """
    with Transport(url) as management:
        status = management.get("/status").json()
        kept = management.get("/disagreements").json() if _keeps(manifest.pipeline.spec) else {}
    mine = next((one for one in status["pipelines"] if one["name"] == manifest.name), None)
    if mine is None:
        names = ", ".join(one["name"] for one in status["pipelines"])
        raise Failure(f"{url} serves {names}, not {manifest.name}: name its manifest, or --url")
    spec = manifest.pipeline.spec
    about = subject(spec)
    try:
        said = mine.get("experiment")
        sums = ExperimentSums.model_validate(said) if said else None
        shadows = tuple(_shadows(spec, _figures(mine["steps"]), kept.get(manifest.name, {})))
    except ValidationError as error:
        why = str(error).splitlines()[0]
        raise Failure(f"{url} speaks of feedback in another way ({why}): is it as new?") from error
    return _told(
        spec,
        Report(
            pipeline=manifest.name,
            step=about.step if about else None,
            alpha=about.experiment.alpha if about else None,
            verdict=verdict(manifest, sums, datetime.now(UTC)),
            shadows=shadows or None,
        ),
    )


def _of_file(file: Path, url: str) -> Report:
    found = read_manifests([file]).pipelines
    if len(found) != 1:
        raise Failure(f"{file} holds {len(found)} Pipelines: name a file with one")
    return of_engine(found[0], url)


def _told(spec: PipelineSpec, found: Report) -> Report:
    if spec.experiment is None and not any(one.shadow for one in spec.steps):
        raise Failure(
            f"{found.pipeline} has neither an experiment nor a shadow: add spec.experiment"
        )
    return found


def _keeps(spec: PipelineSpec) -> bool:
    """Whether any disagreements are kept: an older engine knows of none."""
    compares = [one.shadow.compare for one in spec.steps if one.shadow]
    return any(one and one.keep for one in compares)


def _figures(steps: Sequence[Mapping[str, Any]]) -> Figures:
    """Read what an engine counted."""
    return {
        one["name"]: {
            name: [VariantFigures.model_validate(said)] for name, said in one["variants"].items()
        }
        for one in steps
    }


def _shadows(
    spec: PipelineSpec, figures: Figures, kept: Mapping[str, Mapping[str, Sequence[Any]]]
) -> Iterator[Agreement]:
    """Put every challenger beside its champion; where nobody counted yet, there is nothing."""
    for step in spec.steps:
        if step.shadow:
            champion, mine = step.shadow.champion, figures.get(step.name, {})
            for one in step.shadow.challengers:
                worst = kept.get(step.name, {}).get(one.model)
                both = [(name, mine.get(name, ())) for name in (champion, one.model)]
                found = beside(step.name, *both)
                rows = worst and tuple(Disagreement.model_validate(row) for row in worst)
                yield found.model_copy(update={"worst": rows or None})
