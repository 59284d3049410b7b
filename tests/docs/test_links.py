"""Links lead somewhere, and nothing that a reader needs is left out of the index."""

import re
import tomllib
from pathlib import Path

import pytest

from documents import PAGES, ROOT, anchors, links, name_of, prose

ELSEWHERE = ("https://", "mailto:")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_MAKE = re.compile(r"`make ([a-z-]+)")
_PATH = re.compile(r"[a-zA-Z_0-9-]+(?:/[a-zA-Z_0-9-]+)*\.py\b")
ENGINE = "runtime-image/tiltyard_engine"
OPERATOR = "operator/tiltyard_operator"
PLACES = (
    "",
    ENGINE,
    OPERATOR,
    "api/tiltyard_api",
    "api/tiltyard_api/v1alpha1",
    "tools",
    "sdk/tiltyard",
)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    for link in links(page):
        if link.startswith(ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    assert set(_MAKE.findall(page.read_text())) <= targets


def test_every_page_is_in_an_index() -> None:
    for folder in (ROOT / "docs", ROOT / "docs/decisions"):
        linked = {
            (folder / link.partition("#")[0]).resolve() for link in links(folder / "README.md")
        }
        missing = {path.name for path in folder.glob("*.md")} - {path.name for path in linked}
        assert missing == {"README.md"} or not missing


@pytest.mark.parametrize("page", ["README.md"])
def test_every_example_is_mentioned(page: str) -> None:
    examples = {path.parent.name for path in ROOT.glob("examples/*/pipeline.yaml")}
    text = (ROOT / page).read_text()
    assert examples
    assert {name for name in examples if f"examples/{name}/" not in text} == set()


def test_files_named_in_the_architecture_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [
        name
        for name in set(_PATH.findall(text))
        if not any((ROOT / place / name).exists() for place in PLACES)
    ]
    assert not missing


def test_every_module_that_runs_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in (ENGINE, OPERATOR, "core/tiltyard_core"):
        for path in (ROOT / folder).glob("*.py"):
            known = path.stem.startswith("__") or path.name in text
            assert known, f"ARCHITECTURE.md does not say what {path.name} is"


def test_import_contracts_stand_in_the_architecture_in_words() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = " ".join(prose(ROOT / "ARCHITECTURE.md").split())
    for contract in settings["tool"]["importlinter"]["contracts"]:
        assert contract["name"] in text


def test_folders_of_the_map_are_the_folders_there_are() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    mapped = set(re.findall(r"^\| `([\w./-]+)/` \|", text, re.MULTILINE))
    assert {name for name in mapped if not (ROOT / name).is_dir()} == set()
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*/py.typed")}
    assert packages <= mapped


def test_every_folder_of_tests_is_explained() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*"))}
    folders -= {"__pycache__"}
    assert {name for name in folders if f"`tests/{name}/`" not in text} == set()
