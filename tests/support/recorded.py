"""Engines that write records, and what became of every row."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bare_engines import Compiled, Engine, Workshop
from loopback import Answer
from records import exchange, post
from served_models import scaled
from tiltyard.records import read
from tiltyard_api.manifest import read_pipeline
from waiting import eventually

NAME = "kept"
STEPS = [{"name": "score", "model": "double"}]


def compiled(
    workshop: Workshop,
    records: Mapping[str, Any] | None = None,
    models: Mapping[str, bytes] | None = None,
    steps: Sequence[Mapping[str, Any]] = STEPS,
    **more: object,
) -> Compiled:
    """Compile a Pipeline, by default one that doubles, with what it says of records."""
    folder = workshop.folder / NAME
    folder.mkdir()
    models = models or {"double": scaled(2.0)}
    for model, graph in models.items():
        (folder / f"{model}.onnx").write_bytes(graph)
    entries = [
        {"name": name, "framework": "onnx", "source": {"uri": f"file:{name}.onnx"}}
        for name in models
    ]
    spec = {"models": entries, "steps": list(steps), **more}
    if records:
        spec["records"] = records
    document = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": NAME},
        "spec": spec,
    }
    return workshop.write(read_pipeline(document), folder)


def asked(engine: Engine, numbers: Iterable[float]) -> list[str]:
    """Send one row after the other; the ids of those that were answered."""
    requests = [post([{"x": number}], NAME) for number in numbers]
    return [id_of(answer) for answer in exchange([engine.connect()], requests)]


def id_of(answer: Answer) -> str:
    """Inference id of a good answer."""
    assert answer.status == 200, answer.body
    return answer.headers["X-Tiltyard-Inference-Id"]


@dataclass(frozen=True)
class Balance:
    """What an engine has counted of a stream, in rows."""

    offered: int
    written: int
    lost: Mapping[str, int]

    @property
    def settled(self) -> bool:
        """Whether all that was offered has come to an end."""
        return self.offered == self.written + sum(self.lost.values())


def balance(engine: Engine, stream: str = "inferences") -> Balance:
    """Read what was counted."""
    results: dict[str, int] = {}
    offered = 0
    for (name, labels), value in engine.samples().items():
        told = dict(labels)
        if told.get("stream") != stream:
            continue
        if name == "tiltyard_records_offered_total":
            offered += int(value)
        elif name == "tiltyard_records_total":
            results[told["result"]] = results.get(told["result"], 0) + int(value)
    written = results.pop("written", 0)
    return Balance(offered, written, results)


def settled(engine: Engine, offered: int, stream: str = "inferences") -> Balance:
    """Wait until so many rows have come to an end."""
    return eventually(lambda: balance(engine, stream), lambda b: b.offered == offered and b.settled)


def rows(place: Path | str, **wanted: Any) -> list[dict[str, Any]]:
    """Read records back, with everything."""
    table = read(place, NAME, dataset_exclude=(), **wanted)
    return [dict(row) for row in table.to_pylist()]


def ids(place: Path | str, **wanted: Any) -> list[str]:
    """Ids of the rows that are there."""
    return [row["metadata.inference_id"] for row in rows(place, **wanted)]


def lines(text: str) -> list[dict[str, Any]]:
    """Lines of JSON among others."""
    found = [line for line in text.splitlines() if line.startswith('{"pipeline"')]
    return [dict(json.loads(line)) for line in found]
