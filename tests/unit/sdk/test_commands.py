"""The surface of the command line."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tiltyard.commands import app
from tiltyard.failure import Failure
from tiltyard_api.limits import LIMITS


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_of_the_engine_is_an_option_with_its_default(name: str) -> None:
    limit = LIMITS[name]
    assert limit.read(limit.default) > 0
    shown = " ".join(CliRunner().invoke(app, ["serve", "--help"]).stdout.split())
    assert f"--{name} VALUE {limit.what} Default {limit.default}." in shown


def test_help_loads_only_what_it_needs() -> None:
    heavy = "yaml, rich.table, urllib3, kubernetes, numpy, onnxruntime, pandas, pyarrow"
    code = f"import sys, tiltyard.commands; print({{*sys.modules}} & {{*'{heavy}'.split(', ')}})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout == "set()\n"


def test_the_list_of_commands_cuts_no_sentence_short() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("command", ["report", "logs"])
def test_what_is_neither_here_nor_in_a_cluster_is_told_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    failure = CliRunner().invoke(app, [command, "pipelin.yaml"]).exception
    assert isinstance(failure, Failure)
    here, there = failure.lines
    assert here.startswith("pipelin.yaml: there is no such file or folder here")
    assert there.startswith("the kubeconfig cannot be used")


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"tiltyard {version('tiltyard')}\n"
