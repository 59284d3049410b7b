"""What the pages for those who come from elsewhere say is there; the SDK's first example runs."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiltyard
from documents import ROOT
from tiltyard import Client, DeploymentConfigBuilder, Model, ModelVersion, Pipeline, Workspace
from tiltyard.results import InferenceResult

PAGES = ("coming-from-wallaroo", "coming-from-sagemaker", "sdk")
OURS = (Client, DeploymentConfigBuilder, InferenceResult, Model, ModelVersion, Pipeline, Workspace)

CALL = re.compile(r"(?<![\w-])(?:\w+\.)?\.?([a-z_]+)\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
OTHERS = {"invoke_endpoint", "load", "with", "print", "dict", "open", "col", "get", "head", "list"}
"""Calls of boto3, of models, of Python and of other libraries."""


def cells(page: str) -> Iterator[str]:
    """What the pages say of us: the right column; in sdk.md the left one."""
    column = 0 if page == "sdk" else 1
    for line in (ROOT / "docs" / f"{page}.md").read_text().splitlines():
        row = [one.strip() for one in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if line.startswith("| ") and len(row) == 2 and row[0] not in ("there", "call"):
            yield row[column]
            if page == "coming-from-wallaroo" and row[1].startswith("the same"):
                yield row[0]


def calls(page: str) -> Iterator[tuple[str, str]]:
    """Name and arguments of each call within backquotes."""
    for cell in cells(page):
        for code in re.findall(r"`([^`]+)`", cell):
            yield from CALL.findall(code)


def methods(name: str) -> list[inspect.Signature]:
    return [inspect.signature(getattr(one, name)) for one in OURS if hasattr(one, name)]


@pytest.mark.parametrize("page", PAGES)
def test_every_call_of_ours_is_there_and_takes_what_it_is_given(page: str) -> None:
    seen = 0
    for name, arguments in calls(page):
        if name in OTHERS:
            continue
        signatures = methods(name)
        assert signatures, f"{page}: there is no {name}"
        given = set(re.findall(r"(?<![\w.])([a-z_]+)=", arguments))
        fits = [one for one in signatures if _takes(one, given)]
        assert fits, f"{page}: {name} does not take {given}"
        seen += 1
    assert seen > 15


def _takes(signature: inspect.Signature, given: set[str]) -> bool:
    kinds = {one.kind for one in signature.parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds or given <= set(signature.parameters)


def test_every_public_call_is_on_the_page_of_the_sdk() -> None:
    page = (ROOT / "docs" / "sdk.md").read_text()
    for one in (Client, Pipeline, DeploymentConfigBuilder):
        for name, _ in inspect.getmembers(one, inspect.isfunction):
            if not name.startswith("_"):
                assert re.search(rf"\b{name}\b", page), f"{one.__name__}.{name}"
    for name in tiltyard.__all__:
        assert re.search(rf"\b{name}\b", page), name


@pytest.mark.served
@pytest.mark.timeout(400)
def test_the_first_pipeline_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "sdk.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/sdk.md", "exec"), {})  # noqa: S102 - the page's own code
    assert "out.bikers" in capsys.readouterr().out
    assert (tmp_path / ".tiltyard" / "workspaces" / "default" / "pipelines" / "bikes.yaml").exists()
