"""What the chart makes of its values: golden files, refusals, and what must fit together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.schema import key, settings
from goldens import GOLDEN, check_golden
from helm import CHART, ROOT, Helm, Object, of_kind, parsed
from tiltyard_api.manifest import read_pipeline
from tiltyard_operator.settings import VARIABLES, Settings, read

CASES = sorted(path.name for path in (GOLDEN / "chart").iterdir())
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


@pytest.mark.parametrize("case", CASES)
def test_golden_values_give_golden_objects(
    helm: Helm, case: str, pytestconfig: pytest.Config
) -> None:
    folder: Path = GOLDEN / "chart" / case
    values = f"--values={folder / 'values.yaml'}"
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, values)
    text = helm("template", "tiltyard", CHART, values)
    update = pytestconfig.getoption("--update-golden")
    check_golden(folder / "objects.yaml", text, update=update)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("imag.tag=1", "additional properties 'imag' not allowed"),
        ("image.tagg=1", "additional properties 'tagg' not allowed"),
        ("settings.workerz=1", "additional properties 'workerz' not allowed"),
        ("scope=cluster", "value must be one of 'Cluster', 'Namespace'"),
        ("image.digest=sha256:abc", "does not match pattern"),
        ("image.pullPolicy=Sometimes", "value must be one of"),
        ("replicas=-1", "minimum"),
        ("monitoring.podMonitor.interval=often", "does not match pattern"),
        ("imagePullSecrets[0]=registry", "got string, want object"),
        ("networkPolicy.enabled=sure", "got string, want boolean"),
        ("crds.keep=false", "additional properties 'keep' not allowed"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(helm: Helm, value: str, message: str) -> None:
    refused = helm.run("template", "tiltyard", CHART, f"--set={value}")
    assert refused.returncode == 1
    assert message in refused.stderr


@pytest.mark.parametrize(
    ("scope", "where"), [("Cluster", "any namespace"), ("Namespace", "namespace tiltyard")]
)
def test_the_notes_say_where_pipelines_are_served(helm: Helm, scope: str, where: str) -> None:
    text = helm("install", "tiltyard", CHART, "--dry-run=client", f"--set=scope={scope}")
    notes = text.partition("\nNOTES:\n")[2]
    assert f", in {where}:\n" in notes


def operator_settings(objects: list[Object]) -> Settings:
    """What the operator would read in the pod that the chart makes."""
    container = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    fields = {"metadata.name": "operator-0", "metadata.namespace": "tiltyard"}
    return read(
        {
            one["name"]: one["value"]
            if "value" in one
            else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
            for one in container["env"]
        }
    )


def test_the_operator_understands_what_the_chart_tells_it(helm: Helm) -> None:
    plain = operator_settings(helm.objects())
    assert plain.namespaces == ()
    assert plain.engine_image == "tiltyard-engine:0.1.0"
    assert plain.network_policy
    assert plain.monitoring_labels == {"kubernetes.io/metadata.name": "monitoring"}
    other = operator_settings(
        helm.objects(
            "scope=Namespace",
            "networkPolicy.enabled=false",
            "engine.image.repository=registry.example.com:5000/engine",
            f"engine.image.digest={DIGEST}",
            "monitoring.namespaceLabels.team=watchers",
        )
    )
    assert other.namespaces == ("tiltyard",)
    assert other.engine_image == f"registry.example.com:5000/engine@{DIGEST}"
    assert not other.network_policy
    assert other.monitoring_labels["team"] == "watchers"


@pytest.mark.parametrize("name", settings())
def test_every_setting_of_the_operator_can_be_given(helm: Helm, name: str) -> None:
    variable = settings()[name]
    assert key(variable) == name
    default = VARIABLES[variable].default or "example.com/x,10.0.0.0/8"
    objects = helm.objects(f"settings.{name}={default}".replace(",", r"\,"))
    deployment = of_kind(objects, "Deployment")
    given = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": variable, "value": default} in given


def test_a_tag_may_stand_beside_a_digest(helm: Helm) -> None:
    values = (f"image.digest={DIGEST}", "image.tag=v1")
    container = of_kind(helm.objects(*values), "Deployment")["spec"]["template"]["spec"]
    assert container["containers"][0]["image"] == f"tiltyard-operator:v1@{DIGEST}"


def test_whatever_selects_the_operators_pods_finds_them(helm: Helm) -> None:
    values = ("monitoring.podMonitor.enabled=true", "pod.labels.team=ml")
    objects = helm.objects(*values)
    deployment = of_kind(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert labels["team"] == "ml"
    monitor = of_kind(objects, "PodMonitor")["spec"]
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    for selector in (
        deployment["selector"],
        monitor["selector"],
        *(policy["podSelector"] for policy in policies),
    ):
        assert selector["matchLabels"].items() <= labels.items()
    (port,) = deployment["template"]["spec"]["containers"][0]["ports"]
    assert port["name"] == monitor["podMetricsEndpoints"][0]["port"]
    assert str(port["containerPort"]) == VARIABLES["TILTYARD_LISTEN"].default


def test_the_definitions_stay_when_the_release_goes(helm: Helm) -> None:
    shipped = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("crds/*.yaml")}
    definitions = {
        one["metadata"]["name"]: one
        for one in helm.objects()
        if one["kind"] == "CustomResourceDefinition"
    }
    assert definitions.keys() == shipped.keys()
    for name, one in definitions.items():
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert one["spec"] == shipped[name]["spec"]


def test_without_the_definitions_and_for_one_namespace_nothing_is_of_the_cluster(
    helm: Helm,
) -> None:
    objects = helm.objects("scope=Namespace", "crds.install=false", "monitoring.rules.enabled=true")
    kinds = {one["kind"] for one in objects}
    assert not {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} & kinds


def test_the_plain_manifests_say_nothing_of_helm() -> None:
    for scope in ("cluster", "namespace"):
        for one in parsed((ROOT / "config" / scope / "tiltyard.yaml").read_text()):
            assert "app.kubernetes.io/managed-by" not in one["metadata"]["labels"]
            assert one["metadata"].get("namespace") is None


def test_the_pipeline_of_helm_test_is_one(helm: Helm) -> None:
    tested = of_kind(helm.objects("imagePullSecrets[0].name=registry"), "Pipeline")
    pod: Any = read_pipeline(tested).spec.deployment.pod
    assert [one.name for one in pod.image_pull_secrets] == ["registry"]


def test_versions_are_those_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in project
    assert chart["version"] == chart["appVersion"]
