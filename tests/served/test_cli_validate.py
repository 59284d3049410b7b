"""`tiltyard validate` as a program; what it finds is tested in tests/unit."""

from pathlib import Path

import pytest

from engines import EXAMPLES
from manifests import bike_document, write
from programs import tiltyard

pytestmark = pytest.mark.served


def test_valid_manifests_are_told_and_unpinned_sources_warned_of(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document())
    run = tiltyard("validate", manifest, EXAMPLES / "bike-demand" / "pipeline.yaml")
    assert run.returncode == 0
    assert run.stdout.splitlines()[0] == f"{manifest}: Pipeline bikes is valid"
    warnings = run.stderr.splitlines()
    assert len(warnings) == 2, "the example pins its models"
    assert warnings[0].startswith(f"warning: {manifest}: spec.models[0].source: file://")


def test_files_beside_a_manifest_are_warned_of_before_a_cluster_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    manifest = EXAMPLES / "bike-demand" / "pipeline.yaml"
    run = tiltyard("apply", manifest)
    assert run.returncode == 1
    *warnings, last = run.stderr.splitlines()
    start = (
        f"warning: {manifest}: spec.models[0].source: file:models/bike-gb.onnx is a file of this"
    )
    assert [one.startswith(start) for one in warnings] == [True, False]
    assert last.startswith("the kubeconfig cannot be used: ")


KNOWN = "deployment, experiment, models, records, steps, suspend, validations"


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    bad = bike_document()
    bad["spec"]["steps"][0]["split"]["variants"][1]["weight"] = -1
    bad["spec"]["replicas"] = 2
    first = write(tmp_path / "first.yaml", bad)
    run = tiltyard("validate", first, tmp_path / "none.yaml")
    assert run.returncode == 1
    assert run.stdout.splitlines() == [
        f"{first}: spec.replicas: unknown field: known are {KNOWN}",
        f"{first}: spec.steps[0].split.variants[1].weight: must be at least 0; it is -1",
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
    ]
    assert run.stderr == "not valid: mend 3 faults and validate again\n"


def test_serve_tells_the_same_faults(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", bike_document((0, 0)))
    run = tiltyard("serve", manifest)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"{manifest}: spec.steps[0].split.variants:"
        " all weights are 0: nothing could be served; raise one\n"
    )


def test_a_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    for arguments in (("--debug", "validate"), ("validate", "--debug")):
        run = tiltyard(*arguments, tmp_path / "none.yaml")
        assert run.returncode == 1
        assert run.stderr.startswith("Traceback")
