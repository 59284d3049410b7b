"""Feedback through several pods on a real API server: nothing counts twice, nothing gets lost."""

from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import await_ready
from filed import filed
from kubectl import Kubectl
from ledgers import Ledger
from operators import Operators
from outcomes import addresses, answers, await_successor, kept
from pods import engines
from served_models import scaled
from waiting import await_that

Object = dict[str, Any]

PATIENCE = 180.0
STEP = "price"

pytestmark = [pytest.mark.usefixtures("local_node"), pytest.mark.timeout(900)]


def document(folder: Path, weights: tuple[float, float] = (1, 1)) -> Object:
    """Give a split of two models by user, with an experiment."""
    models = {name: scaled(1 + number) for number, name in enumerate("ab")}
    variants = [
        {"model": name, "weight": weight} for name, weight in zip("ab", weights, strict=True)
    ]
    split = {"hashKey": {"field": "user"}, "variants": variants}
    experiment = {"metrics": [{"name": "revenue", "kind": "value"}]}
    return filed(folder, models, {"name": STEP, "split": split}, 3, experiment=experiment)


def use(kubectl: Kubectl, ledger: Ledger, first: int, many: int = 12) -> None:
    """Ask every pod, and tell another pod what came of it."""
    pods = addresses(kubectl)
    with urllib3.PoolManager(retries=False) as pool:
        for number in range(first, first + many):
            asked, told = (pods[(number + by) % len(pods)] for by in (0, 1))
            (answer,) = answers(pool, asked, STEP, [{"x": 1.0, "user": f"user-{number}"}])
            piece = {"inferenceId": answer.id, "metric": "revenue", "value": number / 4}
            ledger.send(f"http://{told}:8080", answer.variant, [piece])


def test_pods_that_go_and_operators_that_start_anew_leave_the_clients_ledger(
    kubectl: Kubectl, tmp_path: Path, operators: Operators
) -> None:
    operator = operators.start().await_work()
    kubectl.apply(document(tmp_path))
    await_ready(kubectl)
    ledger = Ledger()
    use(kubectl, ledger, 0)
    leaving = engines(kubectl)[0]["metadata"]["name"]
    kubectl("delete", "pod", leaving, "--wait=false")
    await_that(lambda: kept(kubectl) == ledger.cells, PATIENCE)
    await_successor(kubectl, leaving, 3, PATIENCE)
    await_ready(kubectl)
    use(kubectl, ledger, 100)
    operator.kill()
    use(kubectl, ledger, 200)
    operators.start().await_work()
    kubectl.apply(document(tmp_path, (3, 1)))
    await_ready(kubectl)
    use(kubectl, ledger, 300)
    kubectl("delete", "pod", engines(kubectl)[0]["metadata"]["name"], "--wait=false")
    await_that(lambda: kept(kubectl) == ledger.cells, PATIENCE)
    assert set(ledger.statuses) <= {409}
