"""Whole manifests in, everything that the operator would write out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldens import GOLDEN, check_golden
from makers import make_resolved
from sights import NOW, decided, objects_of, serving
from tiltyard_api.base import canonical
from tiltyard_api.resolved import ResolvedModel
from tiltyard_operator.observed import read_answer
from tiltyard_operator.status import Made, plain, report

FOLDER = GOLDEN / "operator"
CASES = sorted(path.name for path in FOLDER.iterdir())


def text_of(documents: object) -> str:
    if isinstance(documents, list):
        return yaml.safe_dump_all(documents, sort_keys=False, width=100)
    return yaml.safe_dump(documents, sort_keys=False, width=100)


def there(
    folder: Path, document: dict[str, Any], facts: dict[str, ResolvedModel]
) -> dict[str, Any]:
    """Give what there is to read: nothing but facts, or pods whose engines counted something."""
    if not (folder / "said.yaml").exists():
        return {"facts": facts}
    read = serving(document, facts)
    for pod, steps in yaml.safe_load((folder / "said.yaml").read_text()).items():
        heard = read_answer({"pipelines": [{"name": "prices", "steps": steps}]}, "prices")
        read["said"][pod] = replace(read["said"][pod], variants=heard.variants)
    return read


@pytest.mark.parametrize("case", CASES)
def test_golden_manifests_give_golden_objects(case: str, pytestconfig: pytest.Config) -> None:
    folder: Path = FOLDER / case
    update = pytestconfig.getoption("--update-golden")
    document: dict[str, Any] = yaml.safe_load((folder / "pipeline.yaml").read_text())
    signatures = yaml.safe_load((folder / "resolved.yaml").read_text())
    facts = {name: make_resolved(said, seed=name) for name, said in signatures.items()}
    seen, decision = decided(document, **there(folder, document, facts))
    assert decision.target
    plan = json.dumps(json.loads(canonical(decision.target.bundle.plan)), indent=2) + "\n"
    objects = json.loads(json.dumps(objects_of(seen, decision)))  # no part twice the same one
    status = plain(report(seen, decision, Made(seen.workload), NOW))
    check_golden(folder / "plan.json", plan, update=update)
    check_golden(folder / "objects.yaml", text_of(objects), update=update)
    check_golden(folder / "status.yaml", text_of(status), update=update)
