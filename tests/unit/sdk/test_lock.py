"""`tiltyard lock` pins what a zip requires, by the real resolver on packages of our own."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tiltyard.failure import Failure
from tiltyard.lock import lock
from tiltyard_engine.python.environment import unlocked


def packed(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return path


def contents(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all the resolver sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    settings = tmp_path / "uv.toml"
    settings.write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for name, version, needs in (
        ("numpy", "2.0", ""),
        ("helper", "1.0", ""),
        ("helper", "1.5", "Requires-Dist: other>=3\n"),
        ("helper", "2.0", ""),
        ("other", "3.1", ""),
    ):
        wheel(folder, name, version, needs)
    return folder


def wheel(folder: Path, name: str, version: str, needs: str) -> None:
    about = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{about}/METADATA", head)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


def test_everything_that_is_required_is_pinned_by_its_hash(index: Path, tmp_path: Path) -> None:
    model = packed(tmp_path / "m.zip", model__py="x = 1", requirements__txt="helper<2\n")
    lock(model)
    after = contents(model)
    assert after["model.py"] == "x = 1"
    assert after["requirements.in"] == "helper<2\n"
    assert unlocked(after["requirements.txt"]) is None
    for name in ("numpy-2.0", "helper-1.5", "other-3.1"):
        data = (index / f"{name}-py3-none-any.whl").read_bytes()
        assert name.replace("-", "==") in after["requirements.txt"]
        assert hashlib.sha256(data).hexdigest() in after["requirements.txt"]


def test_a_locked_zip_is_locked_anew_from_what_its_author_wrote(
    index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = packed(tmp_path / "m.zip", requirements__txt="helper\n")
    lock(model)
    first = model.read_bytes()
    lock(model)
    assert model.read_bytes() == first
    said = capfd.readouterr().err
    assert f"2 packages are locked; its SHA-256 is now {hashlib.sha256(first).hexdigest()}" in said
    (index / "helper-2.0-py3-none-any.whl").unlink()
    lock(model)
    assert "helper==1.5" in contents(model)["requirements.txt"]


def test_what_cannot_be_resolved_changes_nothing(index: Path, tmp_path: Path) -> None:
    assert index.is_dir()
    model = packed(tmp_path / "m.zip", requirements__txt="helper>9\n")
    before = model.read_bytes()
    with pytest.raises(Failure, match=r"the requirements cannot be locked: .*helper"):
        lock(model)
    assert model.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*m.zip*")) == ["m.zip"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.zip", "cannot be read as a zip: No such file or directory"),
        ("text.zip", "cannot be read as a zip: File is not a zip file"),
        ("bare.zip", "has no requirements.txt: there is nothing to lock"),
    ],
)
def test_what_is_no_model_with_requirements_is_refused(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    packed(tmp_path / "bare.zip", model__py="")
    with pytest.raises(Failure) as caught:
        lock(tmp_path / name)
    assert words in str(caught.value)
