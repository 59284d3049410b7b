"""Every example, applied as it is: ready, and the same answers as on a laptop."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from cluster.node.node import Node
from engines import EXAMPLES, serving
from kubectl import Kubectl
from pods import ROLLS_SECONDS, address, asked_inside
from shelves import shelf
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

MANIFESTS = sorted(EXAMPLES.glob("*/*.yaml"))
ROOM = {"replicas": 1, "cpus": 0.5}
"""Two processors have no room for what most of them ask for."""


@pytest.fixture(scope="module")
def examples(node: Node) -> Iterator[str]:
    """URL of the folder of all examples, for pods."""
    with shelf(node.host, EXAMPLES) as url:
        yield url


def records(folder: Path) -> list[Any]:
    """Two rows that the example was never trained on."""
    if (folder / "held-out.json").exists():
        return list(json.loads((folder / "held-out.json").read_text())[:2])
    body = runpy.run_path(str(folder / "body.py"))
    return list(json.loads(body["records"](folder / "held-out/03.jpg")))


def pins(document: Object) -> list[str]:
    """Pin each variant of the first step once; of a step without variants, none."""
    step = document["spec"]["steps"][0]
    variants = [one["model"] for one in step.get("split", {}).get("variants", ())]
    canary = [step["canary"][role] for role in ("stable", "candidate") if "canary" in step]
    return [f"{step['name']}={model}" for model in (*variants, *canary)] or [""]


def fetched(document: Object, url: str) -> Object:
    """Give a manifest whose models lie elsewhere, and whose pods fit on this node."""
    spec = document["spec"]
    for model in spec["models"]:
        model["source"]["uri"] = model["source"]["uri"].replace("file:", f"{url}/")
    spec["deployment"] = spec.get("deployment", {}) | ROOM
    return document


def outputs(rows: list[Any]) -> list[Any]:
    """What was answered, without when, how fast and by whom."""
    return [{key: row[key] for key in row if key.startswith("out")} for row in rows]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_gets_ready_and_answers_as_on_a_laptop(
    kubectl: Kubectl, node: Node, examples: str, manifest: Path, tmp_path: Path
) -> None:
    document = yaml.safe_load(manifest.read_text())
    name, asked = document["metadata"]["name"], records(manifest.parent)
    headers = [{"X-Tiltyard-Variant": pin} if pin else {} for pin in pins(document)]
    with serving(manifest) as laptop:
        wanted = [outputs(laptop.infer(asked, name, **one)) for one in headers]
    kubectl.apply(fetched(document, f"{examples}/{manifest.parent.name}"))
    kubectl("wait", "--for=condition=Ready", f"typ/{name}", "--timeout=180s")
    url = f"http://{address(kubectl, name)}/pipelines/{name}"
    for one, rows in zip(headers, wanted, strict=True):
        answer = urllib3.request("POST", url, json=asked, headers=one, timeout=30, retries=False)
        assert answer.status == 200, answer.data
        assert outputs(answer.json()) == rows
    (tmp_path / "records.json").write_text(json.dumps(asked))
    with shelf(node.host, tmp_path) as place:
        answered = asked_inside(kubectl, url, f"{place}/records.json", **headers[0])
    assert outputs(answered) == wanted[0]
    kubectl("delete", f"typ/{name}", "--timeout=60s")
    mine = f"--selector=app.kubernetes.io/instance={name}"
    await_that(lambda: not kubectl.get("pods", mine)["items"], ROLLS_SECONDS)
