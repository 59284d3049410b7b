"""`tiltyard logs`: records of a Pipeline, for people and for programs."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from tiltyard.failure import Failure, elsewhere
from tiltyard.manifests import read_manifests
from tiltyard.notices import result
from tiltyard.records import ALL, read
from tiltyard.recordstore import STORES
from tiltyard.tables import console, plain_table, shortened
from tiltyard_api.recordfiles import DEFAULT_FOLDER, INFERENCES

POLL_SECONDS = 0.5
OVERLAP = timedelta(seconds=5)
"""Rows of several engines come in any order; so far back is read again, and told once."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    since: timedelta | None
    limit: int
    variant: str | None
    inference_id: str | None
    anomaly: str | None
    output: str


@dataclass(frozen=True, slots=True)
class Target:
    """Whose records, and where they are."""

    place: str | Path
    pipeline: str


def logs(target: str, namespace: str | None, query: Query, *, follow: bool) -> None:
    """Show records.

    Args:
        target: a manifest, a folder of records or the uri of one, or the name of a Pipeline.
        namespace: of the Pipeline; None: where the kubeconfig says.
        query: which of them, and how.
        follow: go on showing what comes until Ctrl-C.

    Raises:
        Failure: there are none, or they cannot be read.

    """
    found = find(target, namespace)
    since = datetime.now(UTC) - query.since if query.since else None
    rows = fetch(found, query, since, query.limit)
    _show(rows, query.output)
    if follow:
        try:
            _follow(found, query, rows)
        except KeyboardInterrupt:
            return


def find(target: str, namespace: str | None = None) -> Target:
    """Find out whose records are meant.

    Raises:
        Failure: nobody's, or somebody's that cannot be read back.

    """
    if target.startswith(STORES):
        place, _, pipeline = target.rstrip("/").rpartition("/")
        return Target(place, pipeline)
    path = Path(target)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file():
        return _of_manifest(path)
    if (Path(DEFAULT_FOLDER) / target).is_dir():
        return Target(Path(DEFAULT_FOLDER), target)
    with elsewhere(target):
        return _of_cluster(target, namespace)


def fetch(target: Target, query: Query, since: datetime | None, limit: int | None) -> list[Row]:
    """Read rows as plain values."""
    table = read(
        target.place,
        target.pipeline,
        since=since,
        variant=query.variant,
        inference_id=query.inference_id,
        anomaly=query.anomaly,
        limit=limit,
        dataset=(ALL,),
        dataset_exclude=(),
    )
    return list(table.to_pylist())


def _of_folder(path: Path) -> Target:
    if (path / INFERENCES).is_dir():
        return Target(path.parent, path.name)
    inside = sorted(one.name for one in path.iterdir() if one.is_dir())
    if len(inside) != 1:
        there = ", ".join(inside) or "none"
        raise Failure(
            f"{path} holds records of several Pipelines or none (there: {there}): name one"
        )
    return Target(path, inside[0])


def _of_manifest(path: Path) -> Target:
    pipelines = read_manifests([path]).pipelines
    if len(pipelines) != 1:
        names = ", ".join(one.name for one in pipelines) or "none"
        raise Failure(f"{path} is of several Pipelines or none (there: {names}): name one")
    records = pipelines[0].pipeline.spec.records
    return _of_sink(records.sink.uri if records else DEFAULT_FOLDER, pipelines[0].name)


def _of_cluster(name: str, namespace: str | None) -> Target:
    from tiltyard.cluster import Cluster  # noqa: PLC0415 - nobody else needs one

    with Cluster(namespace) as cluster:
        records = cluster.pipeline(name)["spec"].get("records")
    if not records:
        raise Failure(f"{name!r} has no records: add spec.records, with a sink")
    return _of_sink(records["sink"]["uri"], name)


def _of_sink(uri: str, name: str) -> Target:
    if uri == "stdout:":
        raise Failure(f"records of {name!r} go to standard output: read the log of its engines")
    return Target(uri, name)


def _follow(target: Target, query: Query, shown: Sequence[Row]) -> None:
    """Show what comes, each row once; what is older than what was shown at first stays so."""
    told = {_key(row): row["time"] for row in shown}
    first = newest = max(told.values(), default=datetime.now(UTC))
    while True:
        time.sleep(POLL_SECONDS)
        found = fetch(target, query, newest - OVERLAP, None)
        rows = [row for row in found if row["time"] > first and _key(row) not in told]
        _show(rows, query.output)
        told |= {_key(row): row["time"] for row in rows}
        newest = max(told.values(), default=newest)
        told = {key: moment for key, moment in told.items() if moment >= newest - 2 * OVERLAP}


def _key(row: Row) -> tuple[str, int]:
    return row["metadata.request"], row["metadata.row"]


def _show(rows: Sequence[Row], output: str) -> None:
    if not rows:
        return
    if output == "table":
        _table(rows)
        return
    for row in rows:
        nested = _nested(row)
        if output == "json":
            result(json.dumps(nested, default=_plain))
        else:
            import yaml  # noqa: PLC0415 - seldom asked for

            result(
                "---\n" + yaml.safe_dump(json.loads(json.dumps(nested, default=_plain))).rstrip()
            )


def _table(rows: Sequence[Row]) -> None:
    columns = [n for n in rows[0] if n.startswith(("in.", "out")) and n != "out._model_split"]
    table = plain_table("time", *columns, "anomalies", "served by")
    for row in rows:
        cells = [shortened(json.loads(json.dumps(row[name], default=_plain))) for name in columns]
        anomalies = str(row.get("anomaly.count") or "")
        moment = row["time"].isoformat(timespec="milliseconds")
        table.add_row(moment, *map(Text, cells), anomalies, Text(_served_by(row)))
    console().print(table)


def _served_by(row: Row) -> str:
    if row.get("metadata.error"):
        return str(row["metadata.error"])
    start = "metadata.variants."
    served = {name.removeprefix(start): row[name] for name in row if name.startswith(start)}
    return ", ".join(f"{step}={model}" for step, model in served.items() if model)


def _nested(row: Row) -> dict[str, Any]:
    """Dotted names as objects within objects, as the data port answers."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        *groups, last = (
            name.split(".", 2) if name.startswith("metadata.variants.") else name.split(".", 1)
        )
        here = made
        for group in groups:
            here = here.setdefault(group, {})
        here[last] = value
    return made


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
