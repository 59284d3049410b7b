"""Answers of the pods of a Pipeline, and what the operator keeps of what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from bikes import NAME
from kubectl import Kubectl
from ledgers import Cells, counted
from pods import engines
from tiltyard_api.experiment import ExperimentSums
from tiltyard_core.experiments.ledger import total
from tiltyard_operator.desired.config import read_experiment
from tiltyard_operator.desired.metadata import evidence_name
from waiting import await_that

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One row's."""

    id: str
    variant: str
    out: dict[str, Any]


def addresses(kubectl: Kubectl) -> list[str]:
    """Where the pods are that are not on their way out."""
    return sorted(one["status"]["podIP"] for one in engines(kubectl))


def answers(pool: urllib3.PoolManager, pod: str, step: str, rows: Sequence[Row]) -> list[Answer]:
    """Ask one pod."""
    url = f"http://{pod}:8080/pipelines/{NAME}"
    answer = pool.request("POST", url, json=rows, timeout=60)
    assert answer.status == 200, answer.data
    found = [(row["metadata"], row["out"]) for row in answer.json()]
    return [Answer(about["inference_id"], about["variants"][step], out) for about, out in found]


def await_successor(kubectl: Kubectl, gone: str, pods: int, seconds: float) -> None:
    """Wait until a pod is gone and there are as many as before."""
    await_that(lambda: kubectl.run("get", "pod", gone).returncode != 0, seconds)
    await_that(lambda: len(engines(kubectl)) == pods, seconds)


def written(kubectl: Kubectl) -> ExperimentSums | None:
    """What the operator has written down of all engines together."""
    found = kubectl.run("get", "configmap", evidence_name(NAME))
    if found.returncode:
        return None
    ledger = read_experiment(kubectl.get("configmap", evidence_name(NAME)))
    return total(ledger) if ledger else None


def kept(kubectl: Kubectl) -> Cells | None:
    """How many values are written down, and their sum, by variant and metric."""
    sums = written(kubectl)
    return counted(sums) if sums else None
