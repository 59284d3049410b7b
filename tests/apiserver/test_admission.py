"""Where a bad manifest is caught when it is applied to a real API server, and what is said.

The rows are those that `tiltyard validate` is tested with, so that both say no to the same things.
`admission` of a row names the place:

- kubectl: it never leaves the machine, or reaches no resource of ours
- strict: a field that does not exist; other clients have it removed in silence
- schema: the API server's own words; of them the field and what kind of fault
- rule: our words, by CEL
- operator: admitted; the operator finds it, and says what `tiltyard validate` says
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.plane import ControlPlane
from kubectl import Kubectl
from makers import PRICES, SHARED, make_document
from tiltyard_api.crd import RESOURCES, crd

Row = dict[str, Any]
Verdict = dict[str, list[str]]

TABLES = Path(__file__).parents[1] / "unit" / "api"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))

_INVALID = re.compile(r'The (?:Pipeline|Model) "[^"]*" is invalid: ?')
_LINE = re.compile(r"(?P<field>[^<]\S*): (?P<fault>[A-Z][a-z]+ (?:value|many))")


def messages(schema: object) -> Iterator[str]:
    """What the rules of a schema say."""
    if isinstance(schema, dict):
        for rule in schema.get("x-kubernetes-validations", ()):
            yield rule["message"]
        for part in schema.values():
            yield from messages(part)


OURS = {
    message for resource in RESOURCES for message in messages(crd(resource)["spec"]["versions"][0])
}


def rows() -> list[tuple[str, object, Verdict]]:
    """Every row of the tables: what it says, its document, where it is caught."""
    found: list[tuple[str, object, Verdict]] = []
    for row in read("bad_manifests"):
        changed = make_document(row.get("set"), row.get("remove", ()))
        found.append((row["says"], row.get("document", changed), row["admission"]))
    for row in read("bad_pods"):
        document = make_document({"spec.deployment.pod": row["pod"]})
        found.append((row["says"], document, row["admission"]))
    for row in read("bad_models"):
        document = make_document(row.get("set"), row.get("remove", ()), of=SHARED)
        found.append((row["says"], document, row["admission"]))
    return found


def read(table: str) -> list[Row]:
    return list(yaml.safe_load((TABLES / f"{table}.yaml").read_text()))


ROWS = rows()


@pytest.fixture(scope="module")
def machine(control_plane: ControlPlane) -> Kubectl:
    """Run kubectl where nothing is kept: a namespace for every row would take longer than all."""
    return Kubectl(control_plane.kubectl, control_plane.kubeconfig, "default")


def verdict(kubectl: Kubectl, document: object) -> Verdict:
    """Apply a document, and say where it is caught and what is said there."""
    text = document if isinstance(document, str) else json.dumps(document, default=str)
    done = kubectl.run("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    if done.returncode == 0:
        return {"operator": []}
    unknown = re.findall(r'unknown field "([^"]+)"', done.stderr)
    if unknown:
        return {"strict": unknown}
    if not _INVALID.match(done.stderr):
        return {"kubectl": []}
    said = [line.removeprefix("* ") for line in _INVALID.sub("", done.stderr).splitlines()]
    told: Verdict = {}
    for line in said:
        found = _LINE.match(line)
        if not found:
            continue  # an empty line, or that rules were not looked at since the schema was broken
        ours = next((message for message in OURS if line.endswith(message)), None)
        place = "rule" if ours else "schema"
        words = f"{found['field']}: {ours or found['fault']}"
        if words not in told.setdefault(place, []):
            told[place].append(words)
    return told


@pytest.mark.parametrize(
    ("document", "admission"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_bad_manifest_is_caught_where_the_table_says(
    machine: Kubectl, document: object, admission: Verdict
) -> None:
    assert verdict(machine, document) == admission


def test_a_plain_letter_is_what_tiltyard_refuses_it_for(machine: Kubectl) -> None:
    text = PRICES.replace("model: c}", 'model: c, inputs: {y: request.y, "n": request.n}}')
    applied = machine("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
    inputs = json.loads(applied)["spec"]["steps"][1]["inputs"]
    assert inputs == {"true": "request.y", "n": "request.n"}


def test_the_tables_are_long_enough_and_most_is_refused_before_the_operator() -> None:
    places = Counter(place for _, _, admission in ROWS for place in admission)
    assert places["schema"] + places["rule"] + places["strict"] >= 100
    assert min(places[place] for place in ("kubectl", "strict", "schema", "rule", "operator")) >= 1
    assert places["operator"] <= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_example_is_admitted(kubectl: Kubectl, example: Path) -> None:
    kubectl("apply", "--validate=strict", "-f", str(example))
