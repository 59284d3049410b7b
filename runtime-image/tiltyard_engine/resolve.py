"""Fetches models and finds out what they are: `python -m tiltyard_engine.resolve`.

A program of its own, so that a bad artifact hurts neither the command line nor an engine that is
serving. Reads a `ResolveRequest` as JSON from standard input and writes a `ResolveReport`.
"""

import sys
from pathlib import Path

from tiltyard_api.resolved import (
    ModelToResolve,
    Resolution,
    ResolvedModel,
    ResolveReport,
    ResolveRequest,
)
from tiltyard_api.v1alpha1.models import Source
from tiltyard_engine.artifacts import ArtifactError, fetch
from tiltyard_engine.model import ModelError
from tiltyard_engine.onnxfile import NotOnnx, look_into
from tiltyard_engine.sessions import signature


def resolve(source: Source, folder: Path, store: Path) -> ResolvedModel:
    """Fetch one model and read its signature.

    Raises:
        ArtifactError: it cannot be had, is not what the manifest says, or is no model that
            can be served.

    """
    path = fetch(source, folder, store)
    try:
        external = look_into(path.read_bytes()).external
        if external:
            names = ", ".join(sorted(filter(None, external))) or "another file"
            raise ArtifactError(
                f"{source.uri} keeps weights outside itself ({names}): save it as one file"
                " (onnx.save with save_as_external_data=False)"
            )
        inputs, outputs = signature(path)
    except NotOnnx as error:
        raise ArtifactError(f"{source.uri} is not an ONNX model: {error}") from error
    except ModelError as error:
        raise ArtifactError(f"{source.uri} cannot be loaded: {error}") from error
    return ResolvedModel(digest=path.name, size=path.stat().st_size, inputs=inputs, outputs=outputs)


def main() -> int:
    """Resolve what standard input asks for."""
    request = ResolveRequest.model_validate_json(sys.stdin.read())
    report = ResolveReport(
        models=tuple(_resolution(model, Path(request.store)) for model in request.models)
    )
    sys.stdout.write(report.model_dump_json(by_alias=True))
    return 0


def _resolution(model: ModelToResolve, store: Path) -> Resolution:
    try:
        return Resolution(resolved=resolve(model.entry.source, Path(model.folder), store))
    except ArtifactError as error:
        return Resolution(fault=str(error))


if __name__ == "__main__":
    sys.exit(main())
