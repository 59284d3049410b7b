import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.crd import RESOURCES, Resource, UntranslatableSchemaError, crd, structural

Schema = dict[str, Any]

ROOT = Path(__file__).parents[3]
GENERATE = [sys.executable, str(ROOT / "tools/generate.py")]


def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GENERATE, *arguments], capture_output=True, text=True, check=False)


def schema_of(resource: Resource) -> Schema:
    schema: Schema = crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}")
    for entry in ("items", "additionalProperties"):
        if entry in schema:
            yield from fields(schema[entry], f"{path}[]")


OF = {resource.plural: dict(fields(schema_of(resource))) for resource in RESOURCES}
ALL = OF["pipelines"]
EVERY = [(plural, path, schema) for plural, of in OF.items() for path, schema in of.items()]


def test_the_committed_file_is_fresh() -> None:
    check = generate("--check")
    assert check.stderr == ""
    assert check.returncode == 0


def test_stale_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    missing = {
        f"{name}: stale or missing; run `make generate`"
        for name in (
            "crds/models.tiltyard.dev.yaml",
            "crds/pipelines.tiltyard.dev.yaml",
            "charts/tiltyard/files/crds/models.tiltyard.dev.yaml",
            "charts/tiltyard/files/dashboard.json",
            "charts/tiltyard/values.schema.json",
            "charts/tiltyard/README.md",
            "runtime-image/tiltyard_engine/grpc/descriptors/services.binpb",
        )
    }
    assert missing < {*generate("--check", "--root", str(tmp_path)).stderr.splitlines()}
    assert generate("--root", str(tmp_path)).returncode == 0
    assert generate("--check", "--root", str(tmp_path)).returncode == 0
    (tmp_path / "crds/moons.yaml").touch()
    with (tmp_path / "crds/pipelines.tiltyard.dev.yaml").open("a") as file:
        file.write("# by hand\n")
    check = generate("--check", "--root", str(tmp_path))
    assert check.returncode == 1
    assert check.stderr.splitlines() == [
        "crds/pipelines.tiltyard.dev.yaml: stale or missing; run `make generate`",
        "crds/moons.yaml: not a generated file; remove it",
    ]


@pytest.mark.parametrize("plural", OF)
def test_the_file_stays_far_below_what_an_annotation_holds(plural: str) -> None:
    assert (ROOT / f"crds/{plural}.tiltyard.dev.yaml").stat().st_size < 100_000


def test_names_are_as_documented() -> None:
    assert [crd(resource)["spec"]["names"] for resource in RESOURCES] == [
        {
            "kind": kind,
            "listKind": f"{kind}List",
            "plural": f"{kind.lower()}s",
            "singular": kind.lower(),
            "shortNames": [short],
            "categories": ["tiltyard"],
        }
        for kind, short in (("Model", "tym"), ("Pipeline", "typ"))
    ]


def test_only_structural_words_are_left() -> None:
    refused = {"$ref", "anyOf", "const", "discriminator", "title", "propertyNames", "$defs"}
    assert not [path for _, path, schema in EVERY if refused & schema.keys()]
    assert not [path for _, path, schema in EVERY if schema.get("additionalProperties") is False]
    assert {type(schema["type"]) for _, _, schema in EVERY} == {str}


def test_everything_of_the_spec_is_described() -> None:
    kubernetes = re.compile(r"\.spec\.deployment\.pod\.\w+\.")  # described by its own reference
    ours = [path for path in ALL if re.fullmatch(r"\.spec(\.[a-z]\w*)*", path)]
    described = [path for path in ours if not kubernetes.match(path)]
    assert not [path for path in described if "description" not in ALL[path]]


def test_scalars_have_defaults_and_replicas_has_none() -> None:
    defaults = {path: schema["default"] for path, schema in ALL.items() if "default" in schema}
    assert defaults == {
        ".spec.models[].batch": "rows",
        ".spec.models[].threads": 1,
        ".spec.models[].timeout": "5s",
        ".spec.steps[].split.hashKey.missing": "random",
        ".spec.steps[].shadow.challengers[].sample": 1,
        ".spec.steps[].shadow.outputs": "log",
        ".spec.steps[].shadow.timeout": "5s",
        ".spec.steps[].shadow.compare.tolerance": 0,
        ".spec.steps[].shadow.compare.keep": 0,
        ".spec.steps[].canary.hashKey.missing": "random",
        ".spec.steps[].canary.ramp.linear.target": 100,
        ".spec.steps[].canary.guards": {},
        ".spec.steps[].canary.guards.errors": {},
        ".spec.steps[].canary.guards.errors.margin": 0.5,
        ".spec.steps[].canary.guards.latency.margin": 0.5,
        ".spec.steps[].canary.guards.invalid": {},
        ".spec.steps[].canary.guards.invalid.margin": 0.5,
        ".spec.steps[].canary.guards.alpha": 0.01,
        ".spec.experiment.metrics[].better": "higher",
        ".spec.experiment.metrics[].goal": False,
        ".spec.experiment.alpha": 0.05,
        ".spec.experiment.minUnits": 1000,
        ".spec.steps[].canary.guards.minUnits": 200,
        ".spec.steps[].interleave.hashKey.missing": "random",
        ".spec.steps[].interleave.length": 10,
        ".spec.deployment": {},
        ".spec.deployment.autoscaling.cpuUtilization": 70,
        ".spec.deployment.cpus": 1,
        ".spec.deployment.memory": "1Gi",
        ".spec.records.inputs": True,
        ".spec.records.sample": 1,
        ".spec.records.sink.keepFor": "720h",
        ".spec.records.sink.keepSize": "1Gi",
        ".spec.suspend": False,
        ".status": {"observedGeneration": -1},
        ".status.observedGeneration": -1,
    }


def test_an_exclusive_bound_is_spelt_as_kubernetes_does() -> None:
    cpus = ALL[".spec.deployment.cpus"]
    assert (cpus["minimum"], cpus["exclusiveMinimum"], cpus["maximum"]) == (0, True, 1024)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_columns_and_scale_read_fields_that_there_are(resource: Resource) -> None:
    version = crd(resource)["spec"]["versions"][0]
    paths = [*version["subresources"].get("scale", {}).values()]
    paths += [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    ours = [path for path in paths if not path.startswith(".metadata")]
    assert len(ours) >= 7
    known = OF[resource.plural]
    assert not [path for path in ours if re.sub(r"\[.*\]", "[]", path) not in known]


def test_a_pipeline_can_be_scaled_and_a_model_cannot() -> None:
    subresources = {
        one.plural: crd(one)["spec"]["versions"][0]["subresources"] for one in RESOURCES
    }
    assert {plural: set(ones) for plural, ones in subresources.items()} == {
        "models": {"status"},
        "pipelines": {"status", "scale"},
    }


class Loose(Contract):
    text: str


class Choice(Contract):
    value: int | bool


class Unknown(Contract):
    value: int = Field(json_schema_extra={"contentEncoding": "base64"})


class Multiple(Contract):
    value: int = Field(multiple_of=5)


class Timed(Contract):
    value: str = Field(json_schema_extra={"format": "uri"})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Loose, "Loose.text: string without a bound"),
        (Choice, "Choice.value: a value has one type in a CRD"),
        (Unknown, "Unknown.value: contentEncoding is unknown here: 'base64'"),
        (Multiple, "Multiple.value: multipleOf is unknown here: 5"),
        (Timed, "Timed.value: format is unknown here: 'uri'"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(model: type[Contract], message: str) -> None:
    with pytest.raises(UntranslatableSchemaError, match=f"^{re.escape(message)}$"):
        structural(model)


class One(Contract):
    """A sentence
    over two lines.
    """

    value: Literal["x"] = "x"


def test_constants_and_descriptions_are_translated() -> None:
    assert structural(One) == {
        "description": "A sentence over two lines.",
        "type": "object",
        "properties": {"value": {"enum": ["x"], "type": "string", "default": "x"}},
    }
