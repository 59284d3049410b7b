"""What `helm test` runs, against an engine of this machine."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engines import serving
from helm import CHART, Helm, of_kind

SCRIPT = CHART / "files/inference.py"

pytestmark = [pytest.mark.served, pytest.mark.timeout(300)]


def ask(url: str, seconds: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", str(SCRIPT), url, str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("operation", "code"), [(b"Add", 0), (b"Sub", 1)])
def test_the_right_answer_passes_and_no_other(
    helm: Helm, tmp_path: Path, operation: bytes, code: int
) -> None:
    pipeline = of_kind(helm.objects(), "Pipeline")
    double = (CHART / "files/double.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(double.replace(b"Add", operation))
    pipeline["spec"]["models"][0]["source"]["uri"] = "file:model.onnx"
    manifest = tmp_path / "pipeline.yaml"
    manifest.write_text(yaml.safe_dump(pipeline))
    with serving(manifest) as engine:
        done = ask(f"{engine.url}/pipelines/tiltyard-test", 30)
    assert done.returncode == code, done.stderr
    assert ("twice 21 is 42" in done.stdout) == (code == 0)
    assert ("twice 21 is 42, not [0" in done.stderr) == (code == 1)


def test_no_answer_fails_and_says_where_to_look() -> None:
    done = ask("http://127.0.0.1:9/pipelines/tiltyard-test", 0)
    assert done.returncode == 1
    assert "kubectl describe typ tiltyard-test" in done.stderr
