"""`tiltyard apply`, `undeploy`, `history`, `rollback`, `promote`, `abort`: orders to a cluster."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiltyard.canary import asked_for
from tiltyard.cluster import Cluster
from tiltyard.failure import EntityNotFoundError, Failure
from tiltyard.manifests import read_manifests
from tiltyard.namespaced import NamespacePlace
from tiltyard.notices import document, notice, result
from tiltyard.pipelines import Pipeline
from tiltyard.places import Document
from tiltyard.tables import plain_table, show
from tiltyard.yamlfile import read_documents


def apply(files: Sequence[Path], namespace: str | None, seconds: float) -> None:
    """Apply manifests, Models first, and wait until each is in force.

    Raises:
        Failure: one is not valid, and then nothing is applied; or cannot be in force.

    """
    for line in read_manifests(files).relative_sources():
        notice(f"warning: {line}")
    found = [_plain(one) for file in files for one in read_documents(file.read_bytes())]
    for one in sorted(found, key=lambda one: str(one["kind"])):  # Model before Pipeline
        kind, head = one["kind"], one["metadata"]
        with _place(_namespace(head, namespace)) as place:
            one["metadata"] = head | {"namespace": place.namespace}
            if kind == "Model":
                place.put_model(one)
            else:
                place.deploy(one, seconds)
            result(f"{kind} {head['name']} in namespace {place.namespace}: applied")


def undeploy(name: str, namespace: str | None, seconds: float) -> None:
    """Suspend a Pipeline and wait until its pods are gone.

    Raises:
        Failure: there is none, or its pods stay.

    """
    with _pipeline(name, namespace) as pipeline:
        pipeline.undeploy(timeout=seconds)
    result(f"{name}: undeployed; deploy it again with tiltyard rollback or apply")


def history(name: str, namespace: str | None, output: str) -> None:
    """Show the versions of a Pipeline, newest first.

    Raises:
        Failure: there is no such Pipeline.

    """
    with _pipeline(name, namespace) as pipeline:
        versions = pipeline.history()
    if output != "table":
        document(versions, output)
        return
    table = plain_table("version", "created", "steps", "models")
    for one in versions:
        models = ", ".join(f"{model} {digest}" for model, digest in one["models"].items())
        table.add_row(str(one["version"]), one["created"], ", ".join(one["steps"]), models)
    show(table)


def rollback(name: str, namespace: str | None, to: int | None, seconds: float) -> None:
    """Go back to an earlier version and wait until it is in force.

    Raises:
        Failure: there is none, or it cannot be served.

    """
    with _pipeline(name, namespace) as pipeline:
        pipeline.rollback(to, timeout=seconds)
    result(f"{name}: rolled back")


def promote(name: str, namespace: str | None, step: str | None) -> None:
    """Let a canary go on to its next stage.

    Raises:
        Failure: there is no such canary, or it cannot go on.

    """
    with _pipeline(name, namespace) as pipeline:
        result(asked_for("promote", pipeline.promote(step)))


def abort(name: str, namespace: str | None, step: str | None) -> None:
    """Take a candidate out of the way.

    Raises:
        Failure: there is no such canary, or its candidate gets nothing already.

    """
    with _pipeline(name, namespace) as pipeline:
        result(asked_for("abort", pipeline.abort(step)))


@contextmanager
def _place(namespace: str | None) -> Iterator[NamespacePlace]:
    with Cluster(namespace) as cluster:
        yield NamespacePlace(cluster, None, notice)


@contextmanager
def _pipeline(name: str, namespace: str | None) -> Iterator[Pipeline]:
    with _place(namespace) as place:
        if place.pipeline(name) is None:
            raise EntityNotFoundError(
                f"there is no Pipeline {name} in namespace {place.namespace}:"
                " kubectl get typ -A lists them"
            )
        yield Pipeline(place, name, notice)


def _namespace(head: Document, asked: str | None) -> str | None:
    said = head.get("namespace")
    if asked and said and asked != said:
        raise Failure(f"{head['name']} says namespace {said}, and --namespace says {asked}")
    return asked or said


def _plain(found: Any) -> Document:  # noqa: ANN401 - as YAML gives it, and found valid
    """Give a document as JSON has it: dates of YAML become texts."""
    return dict(json.loads(json.dumps(found, default=str)))
