"""Files of manifests: what is read, and what is said of those that cannot be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import PRICES, SHARED
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
    assert (
        faults_of(written(case["file"].replace("PIPELINE", PRICES).replace("MODEL", SHARED)))
        == case["said"]
    )


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


REFERRING = PRICES.replace(
    "framework: onnx, source: {uri: file:b.onnx}", "modelRef: {name: shared}"
)


def test_models_may_stand_in_any_file_and_keep_their_folders() -> None:
    files = [written(REFERRING, "one/p.yaml"), written(SHARED, "two/m.yaml")]
    for order in (files, files[::-1]):
        (manifest,) = read_manifests(order).served()
        assert [(one.entry.name, one.folder.name, one.place) for one in manifest.described()] == [
            ("a", "one", "one/p.yaml: spec.models[0]"),
            ("b", "two", "two/m.yaml: spec"),
            ("c", "one", "one/p.yaml: spec.models[2]"),
        ]
        assert manifest.described()[1].entry.threads == 4


def test_pipelines_and_models_may_share_a_file_and_a_name() -> None:
    model = SHARED.replace("name: shared", "name: prices")
    text = f"{REFERRING.replace('name: shared', 'name: prices')}---{model}"
    (manifest,) = read_manifests([written(text)]).served()
    assert manifest.described()[1].place == "p.yaml (document 2): spec"


def test_a_model_of_another_namespace_is_another_model() -> None:
    elsewhere = SHARED.replace("{name: shared}", "{name: shared, namespace: other}")
    found = read_manifests([written(f"{REFERRING}---{elsewhere}---{SHARED}")])
    assert found.served()[0].described()[1].place == "p.yaml (document 3): spec"


def test_a_model_that_is_not_there_is_a_fault_for_who_serves_and_a_warning_for_who_validates() -> (
    None
):
    found = read_manifests([written(REFERRING)])
    assert list(found.unknown_references()) == [
        "p.yaml: Model 'shared' is not in these files: not looked at"
    ]
    with pytest.raises(Failure) as caught:
        found.served()
    (line,) = caught.value.lines
    assert line.startswith("p.yaml: spec.models[1].modelRef.name: no Model 'shared' in namespace")


def test_models_alone_are_valid_but_nothing_to_serve() -> None:
    found = read_manifests([written(SHARED)])
    assert [model.key for model in found.models] == [("default", "shared")]
    with pytest.raises(Failure, match="there is no Pipeline in these files"):
        found.served()


def test_a_shared_source_without_a_digest_is_warned_of_once() -> None:
    text = "---".join([REFERRING, REFERRING.replace("name: prices", "name: other"), SHARED])
    lines = [
        line.partition(": file:")[0] for line in read_manifests([written(text)]).unpinned_sources()
    ]
    assert lines.count("p.yaml (document 3): spec.source") == 1
    assert len(lines) == 5
