"""Files of manifests: what is read, and what is said of those that cannot be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import PRICES
from tiltyard.failure import Failure
from tiltyard.manifests import read_manifests

CASES: list[dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("files.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str, name: str = "p.yaml") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(*files: Path) -> list[str]:
    with pytest.raises(Failure) as caught:
        read_manifests(files)
    return list(caught.value.lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_said_of_a_file(case: dict[str, Any]) -> None:
    assert faults_of(written(case["file"].replace("PIPELINE", PRICES))) == case["said"]


def test_bytes_that_are_no_text() -> None:
    Path("p.yaml").write_bytes(b"kind: \xff\xfe\n")
    (line,) = faults_of(Path("p.yaml"))
    assert line.startswith("p.yaml: (file): is not YAML: ")
    assert line.endswith(": save it as plain UTF-8")


def test_aliases_may_be_used_but_not_to_explode() -> None:
    kind = PRICES.replace("file:a.onnx}}", "&source file:a.onnx}}").replace(
        "file:b.onnx", "*source"
    )
    (manifest,) = read_manifests([written(kind)]).pipelines
    assert manifest.described()[1].entry.source.uri == "file:a.onnx"
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
    )
    (line,) = faults_of(written(bomb))
    assert line.endswith("more than 200000 values: mend the YAML")


def test_all_faults_of_all_files_come_at_once() -> None:
    several = written("kind: Moon\n---\nkind: Pod\n", "several.yaml")
    assert [line.partition(": ")[0] for line in faults_of(several, Path("none.yaml"))] == [
        "several.yaml (document 1)",
        "several.yaml (document 2)",
        "none.yaml",
    ]


def test_a_folder_is_no_file() -> None:
    assert faults_of(Path()) == [".: cannot be read: Is a directory"]


def test_pipelines_of_several_files_keep_their_folders() -> None:
    one = written(PRICES, "one/p.yaml")
    two = written(PRICES.replace("name: prices", "name: other"), "two/p.yaml")
    manifests = read_manifests([one, two]).served()
    assert [(one.name, one.folder.name, one.place) for one in manifests] == [
        ("prices", "one", "one/p.yaml"),
        ("other", "two", "two/p.yaml"),
    ]


def test_one_name_in_two_namespaces_is_still_one_name() -> None:
    other = PRICES.replace("{name: prices}", "{name: prices, namespace: other}")
    (line,) = faults_of(written(PRICES), written(other, "q.yaml"))
    assert line.startswith("q.yaml: metadata.name: 'prices' is also")


def test_sources_without_a_digest_are_warned_of() -> None:
    pinned = PRICES.replace("uri: file:b.onnx", f"uri: file:b.onnx, sha256: {'a' * 64}")
    lines = list(read_manifests([written(pinned)]).unpinned_sources())
    assert [line.split(": ")[1] for line in lines] == [
        "spec.models[0].source",
        "spec.models[2].source",
    ]
