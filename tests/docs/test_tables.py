"""The tables of the reference are complete and say what the code says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import typer

from documents import PAGES, ROOT, name_of, prose, table
from tiltyard.commands import app
from tiltyard_api.limits import LIMITS
from tiltyard_api.quantities import LONGEST
from tiltyard_api.reasons import STATUS_OF
from tiltyard_api.tensors import TensorType
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.steps import DEFAULT_BUDGET, KINDS
from tiltyard_engine.challengers import LOWEST_PRIORITY
from tiltyard_engine.codecs.selection import GROUPS
from tiltyard_engine.counters import BUCKETS
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.lane import QUEUE_BYTES, QUEUE_REQUESTS
from tiltyard_engine.metrics import DROPPED, MATCHES, METRICS, MODEL_REASONS, ROUTING_REFUSED
from tiltyard_engine.mirrored import BATCH_ROWS
from tiltyard_operator.metrics import REGISTRY

Schema = Mapping[str, Any]

SCHEMA = Pipeline.model_json_schema()
POD = "spec.deployment.pod"
"""Has a table of its own, whose fields are Kubernetes'."""

BOUNDS = ("maximum", "maxLength", "maxItems", "maxProperties", "const")
INFO = {
    "tiltyard_model_info": ("gauge", "model, framework, digest"),
    "tiltyard_build_info": ("gauge", "version"),
}
METRIC = re.compile(r"\btiltyard_(?!engine|api|core)[a-z_]+[a-z]\b(?!\.|/)")
OPERATORS = {name for names in REGISTRY._collector_to_names.values() for name in names}
SUFFIX = re.compile(r"_(bucket|count|sum)$")

MANIFEST = (ROOT / "docs/manifest.md").read_text()
FIELDS = {
    row[0]: row
    for row in table("docs/manifest.md", "field", "type and bounds", "default", "meaning")
}


def resolved(schema: Schema) -> Schema:
    """Follow a reference, and leave out that a field may be null."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return {**schema, "anyOf": (), **resolved(one)}
    if "$ref" in schema:
        return {**schema, "$ref": "", **resolved(SCHEMA["$defs"][schema["$ref"].split("/")[-1]])}
    return schema


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Every field that holds a value or a list: path, schema, whether it is required."""
    for name, one in schema["properties"].items():
        here, field = (
            f"{path}.{name}".removeprefix("."),
            resolved(one) if one.get("$ref") or one.get("anyOf") else one,
        )
        items = resolved(field.get("items", {}))
        if "properties" in field and here != POD:
            yield from fields(field, here)
            continue
        yield here, field, name in schema.get("required", ())
        if "properties" in items:
            yield from fields(items, f"{here}[]")


CONTRACT = {path: (field, required) for path, field, required in fields(SCHEMA)}


def test_every_field_of_the_contract_is_documented_and_no_other() -> None:
    assert set(FIELDS) == set(CONTRACT)


@pytest.mark.parametrize("path", CONTRACT)
def test_bounds_and_choices_of_a_field_are_documented(path: str) -> None:
    field, _ = CONTRACT[path]
    said = FIELDS[path][1]
    spelled = {1e9: "1e9", 64: "64"}
    items = resolved(field.get("items", {}))
    short = "pattern" in field and field["maxLength"] == 16
    for schema in (field, items if "properties" not in items else {}):
        for bound in () if short else BOUNDS:
            if bound in schema:
                value = schema[bound]
                assert re.search(rf"\b{re.escape(spelled.get(value, str(value)))}\b", said), bound
        for choice in schema.get("enum", ()):
            assert choice in said or path.endswith(".type")


@pytest.mark.parametrize("path", CONTRACT)
def test_default_of_a_field_is_documented(path: str) -> None:
    field, required = CONTRACT[path]
    said = FIELDS[path][2]
    default = field.get("default")
    if required or default is not None:
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert said == ("required" if required else text)
    else:
        assert said != "required"


def test_the_rest_of_the_manifest_page_is_complete() -> None:
    budget = FIELDS["spec.steps[].shadow.budget"]
    assert budget[2] == DEFAULT_BUDGET
    assert f"`{LONGEST}`" in MANIFEST
    assert all(
        f"`{kind}`" in FIELDS["spec.steps"][1] or kind in FIELDS["spec.steps"][1] for kind in KINDS
    )
    assert all(f"`{one}`" in MANIFEST for one in TensorType)


def test_every_reason_of_an_error_is_documented_with_its_status() -> None:
    rows = table("docs/http.md", "status", "reason", "when")
    assert {reason: int(status) for status, reason, _ in rows} == STATUS_OF
    assert len(rows) == len(STATUS_OF)
    assert [int(status) for status, *_ in rows] == sorted(STATUS_OF.values())


def test_every_limit_is_documented_with_its_default() -> None:
    rows = table("docs/http.md", "flag", "default", "what it bounds")
    assert {flag.removeprefix("--"): default for flag, default, _ in rows} == {
        name: limit.default for name, limit in LIMITS.items()
    }


def test_limits_that_are_no_settings_are_documented() -> None:
    fixed = Limits()
    rows = table("docs/http.md", "what", "limit")
    said = {name: limit for what, limit in rows for name in re.findall(r"\((\w+)\)", what)}
    settings = {name.replace("-", "_") for name in LIMITS}
    assert set(said) == {name for name in Limits.__slots__ if name not in settings}
    for name, limit in said.items():
        number, _, unit = limit.partition(" ")
        assert float(number) * {"KiB": 1024}.get(unit, 1) == getattr(fixed, name)


def test_parts_of_an_answer_are_documented() -> None:
    rows = [row[0] for row in table("docs/http.md", "field", "what it holds")]
    assert set(GROUPS) <= {name.partition(".")[0] for name in rows}


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    rows = table("docs/metrics.md", "metric", "type", "labels", "what")
    assert {name: (kind, labels) for name, kind, labels, _ in rows} == {
        name: (metric.kind, ", ".join(metric.labels)) for name, metric in METRICS.items()
    } | INFO


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_metrics_that_are_named_exist(page: Any) -> None:
    named = {SUFFIX.sub("", name) for name in METRIC.findall(page.read_text())}
    families = {*METRICS, *INFO, *OPERATORS, "tiltyard_shadow", "tiltyard_operator"}
    assert named <= families


@pytest.mark.parametrize("labels", [DROPPED, MATCHES, MODEL_REASONS, ROUTING_REFUSED])
def test_values_of_labels_are_documented(labels: tuple[str, ...]) -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    assert [value for value in labels if f"`{value}`" not in text] == []


def test_buckets_are_documented() -> None:
    text = " ".join(prose(ROOT / "docs/metrics.md").split())
    assert ", ".join(f"{bound:g}" for bound in BUCKETS) in text


def test_sizes_of_a_challengers_queue_are_documented() -> None:
    text = (ROOT / "docs/shadow.md").read_text()
    assert f"{QUEUE_REQUESTS:,} requests" in text
    assert f"{QUEUE_BYTES >> 20} MiB" in text
    assert f"up to {BATCH_ROWS}\n" in text
    assert f"nice {LOWEST_PRIORITY}" in text


@pytest.mark.parametrize("command", ["serve", "infer"])
def test_options_of_a_command_are_documented(command: str) -> None:
    group = typer.main.get_command(app)
    known = {
        option.opts[-1]: "none"
        if option.default is None and not option.required
        else option.default
        for option in group.commands[command].params
        if option.param_type_name == "option" and option.name != "help"
    }
    columns = ("option", "default", "what")
    said = {row[0].split()[-1]: row[1] for row in table("docs/serve.md", *columns)}
    mine = set(known) - {f"--{name}" for name in LIMITS}
    assert mine <= set(said)
    for name in mine:
        default = known[name]
        shown = {False: "off", None: "required"}.get(
            default, str(getattr(default, "value", default))
        )
        assert said[name] == shown, name


def test_every_command_is_documented() -> None:
    group = typer.main.get_command(app)
    commands = {row[0].split()[1] for row in table("docs/serve.md", "command", "what it does")}
    assert commands == set(group.commands)
