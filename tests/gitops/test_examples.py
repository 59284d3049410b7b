"""The examples for Argo CD and Flux name what there is."""

from pathlib import Path
from typing import Any

import yaml

from helm import ROOT
from tiltyard_api.names import API_VERSION

Object = dict[str, Any]


def objects(path: str) -> list[Object]:
    return list(yaml.safe_load_all((ROOT / "gitops" / path).read_text()))


def test_both_install_the_chart_with_values_that_it_knows() -> None:
    known = yaml.safe_load((ROOT / "charts/tiltyard/values.yaml").read_text())
    application, _ = objects("argocd/applications.yaml")
    source = application["spec"]["source"]
    (release,) = (one for one in objects("flux/flux.yaml") if one["kind"] == "HelmRelease")
    for path, values in (
        (source["path"], source["helm"]["valuesObject"]),
        (release["spec"]["chart"]["spec"]["chart"], release["spec"]["values"]),
    ):
        assert (ROOT / path / "Chart.yaml").is_file()
        for group, parts in values.items():
            assert parts.keys() <= known[group].keys()


def test_what_flux_refers_to_is_there() -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects("flux/flux.yaml")}
    named = {
        (source["kind"], source["name"])
        for one in objects("flux/flux.yaml")
        for spec in [one["spec"], one["spec"].get("chart", {}).get("spec", {})]
        for source in [spec.get("sourceRef")]
        if source
    }
    assert named
    assert named <= there


def test_the_checks_of_flux_are_for_our_kinds() -> None:
    (kustomization,) = (one for one in objects("flux/flux.yaml") if one["kind"] == "Kustomization")
    checks = kustomization["spec"]["healthCheckExprs"]
    assert {(one["apiVersion"], one["kind"]) for one in checks} == {(API_VERSION, "Pipeline")}
    assert all({"current", "failed", "inProgress"} <= one.keys() for one in checks)


def test_the_health_scripts_are_those_that_are_installed() -> None:
    (kustomization,) = objects("argocd/kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    files = [Path(one.partition("=")[2]) for one in generator["files"]]
    there = sorted((ROOT / "gitops/argocd").glob("*/health.lua"))
    assert sorted(ROOT / "gitops/argocd" / file for file in files) == there
