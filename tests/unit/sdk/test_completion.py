"""Shells and kubectl complete lines, and the plugin is the same program."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def run(script: str, *words: str, **environment: str) -> str:
    """Run a program that the project installs."""
    module, _, function = SCRIPTS[script].partition(":")
    code = f"from {module} import {function}; {function}()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"KUBECONFIG": "/dev/null"} | environment,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ro"], ["rollback"]),
        (["rollback", "--t"], ["--to", "--timeout"]),
        (["status", "--na"], ["--namespace"]),
        (["status", "a-pipeline-of-no-cluster"], []),
    ],
)
def test_kubectl_is_told_what_a_line_may_go_on_with(words: list[str], found: list[str]) -> None:
    *said, end = run("kubectl_complete-tiltyard", *words).split()
    assert (said, end) == (found, ":4")


def test_a_shell_is_told_the_same() -> None:
    asked = {"_TILTYARD_COMPLETE": "complete_bash", "COMP_WORDS": "tiltyard und", "COMP_CWORD": "1"}
    assert run("tiltyard", **asked).split() == ["undeploy"]
    script = run("tiltyard", "completion", "bash")
    assert "_TILTYARD_COMPLETE=complete_bash" in script
    assert "complete -o default" in script


def test_the_plugin_calls_itself_as_kubectl_does() -> None:
    assert "Usage: kubectl tiltyard history" in run("kubectl-tiltyard", "history", "--help")
