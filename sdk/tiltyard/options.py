"""Arguments and options that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How answers are shown."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def _pipelines(incomplete: str) -> list[str]:
    """Names of Pipelines, for shells; none where no cluster says."""
    from tiltyard.failure import Failure  # noqa: PLC0415 - help must be quick

    try:
        from tiltyard.cluster import PIPELINES, Cluster  # noqa: PLC0415 - likewise

        with Cluster(None) as cluster:
            names = [one["metadata"]["name"] for one in cluster.listed(PIPELINES)]
    except Failure:
        return []
    return [name for name in names if name.startswith(incomplete)]


Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Manifests, as YAML.")]
Name = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="Name of the Pipeline.", autocompletion=_pipelines),
]
Namespace = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Where it is; default: the kubeconfig's own."),
]
StepName = Annotated[
    str | None, typer.Option("--step", help="Which canary, where there are several.")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to show it.")]
