"""Python models are tried before anything relies on them; what they require is installed apart."""

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from python_models import DOUBLE, entry_of, kept, made, running, written
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.python.environment import (
    COMPLETE,
    Installs,
    NotLockedError,
    RequirementsError,
    interpreter,
    known_interpreter,
    unlocked,
)
from tiltyard_engine.python.trial import FREE_LENGTH, TrialLimits, try_python

GOOD = {
    "a plain function": (DOUBLE, {}),
    "one that raises on made-up input": ("def process_data(x): raise ValueError", {}),
    "one that wants a series": (
        f"""
        def process_data(input_data):
            assert input_data["x"].shape == (2, {FREE_LENGTH})
            return {{"y": input_data["x"].mean(axis=1)}}
        """,
        {"inputs": [{"name": "x", "type": "float32", "shape": [-1]}]},
    ),
    "one row a call": (
        "def process_data(x): return {'y': x['x'].reshape(())}",
        {"batch": "single"},
    ),
    "several workers": (DOUBLE, {"workers": 16, "memory": "64Mi"}),
}

BAD = {
    "an import that fails": (
        "import nowhere",
        ConditionReason.LOAD_FAILED,
        "its worker could not start: model.py cannot be loaded: ModuleNotFoundError: No module",
    ),
    "no function": (
        "x = 1",
        ConditionReason.LOAD_FAILED,
        "its worker could not start: model.py has no function process_data(input_data): add it",
    ),
    "a crash": (
        "import os\ndef process_data(x): os._exit(4)",
        ConditionReason.LOAD_FAILED,
        "its worker ended with exit code 4",
    ),
    "a loop": (
        "def process_data(x):\n    while True: pass",
        ConditionReason.LOAD_FAILED,
        "took longer than 1 s",
    ),
    "another shape": (
        "def process_data(x): return {'y': x['x'][:1]}",
        ConditionReason.SIGNATURE_MISMATCH,
        "gave 'y' of shape [1], outputs says [2] for 2 rows",
    ),
    "another name": (
        "def process_data(x): return {'z': x['x']}",
        ConditionReason.SIGNATURE_MISMATCH,
        "process_data returned no 'y' (there: z)",
    ),
    "too much memory to load": (
        "x = b'x' * (1 << 30)",
        ConditionReason.LOAD_FAILED,
        "its worker could not start: model.py cannot be loaded: MemoryError",
    ),
}


def limits(folder: Path, installs: Installs = Installs.ANY) -> TrialLimits:
    return TrialLimits(seconds=60, installs=installs, environments=folder / "environments")


@pytest.mark.parametrize("what", GOOD)
def test_a_model_that_can_be_served_passes(tmp_path: Path, what: str) -> None:
    source, fields = GOOD[what]
    folder = written(tmp_path / "model", source)
    assert try_python(folder, entry_of(**fields), limits(tmp_path)) is None


@pytest.mark.parametrize("what", BAD)
def test_a_model_that_cannot_be_served_says_why(tmp_path: Path, what: str) -> None:
    source, reason, words = BAD[what]
    fault = try_python(
        written(tmp_path / "model", source), entry_of(timeout="1s"), limits(tmp_path)
    )
    assert fault is not None
    assert fault.reason == reason
    assert fault.message.startswith(words)


HASH = f"--hash=sha256:{'a' * 64}"
LOCKED = [
    ("", None),
    ("# nothing\n\n", None),
    (f"a==1 {HASH}", None),
    (f"a==1 \\\n    {HASH} \\\n    {HASH}\nb==2 {HASH}  # why\n", None),
    ("a==1", "a==1"),
    (f"a==1 {HASH}\nb>=2  # any", "b>=2"),
    (f"a==1 # {HASH}", "a==1"),
    ("-r other.txt", "-r other.txt"),
    ("-e .", "-e ."),
    ("--extra-index-url x", "--extra-index-url x"),
]


@pytest.mark.parametrize(("text", "line"), LOCKED)
def test_a_requirement_without_a_hash_is_found(text: str, line: str | None) -> None:
    assert unlocked(text) == line


def test_requirements_that_are_not_locked_are_refused_where_they_must_be(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", DOUBLE)
    (folder / "requirements.txt").write_text("idna>=3\n")
    fault = try_python(folder, entry_of(), limits(tmp_path, Installs.LOCKED))
    assert fault is not None
    assert fault.reason == ConditionReason.REQUIREMENTS_NOT_LOCKED
    assert fault.message.startswith("requirements.txt does not pin 'idna>=3' by hashes: run `tilt")
    assert not (tmp_path / "environments").exists()


def test_an_environment_that_was_never_made_is_no_environment(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", DOUBLE)
    (folder / "requirements.txt").write_text("idna>=3\n")
    with pytest.raises(RequirementsError, match="is missing: fetch it anew"):
        known_interpreter(folder, tmp_path)


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Write a wheel of a few modules."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        for file, text in files.items():
            packed.writestr(file, text)
        packed.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        packed.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{about}/RECORD", "")
    return path


def with_wheels(tmp_path: Path) -> Path:
    """Write a model that brings two wheels; the numpy is a stand-in that only can be imported."""
    folder = written(tmp_path / "model", DOUBLE)
    (folder / "requirements.txt").write_text("numpy\nhelper\n")
    wheel(folder / "wheels", "numpy", {"numpy.py": ""})
    wheel(folder / "wheels", "helper", {"helper.py": "x = 1"})
    return folder


def test_wheels_of_the_artifact_are_installed_once_for_all(tmp_path: Path) -> None:
    folder, environments = with_wheels(tmp_path), tmp_path / "environments"
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(interpreter, folder, environments, Installs.LOCKED, 100) for _ in range(2)
        ]
        first, second = (call.result() for call in calls)
    assert first == second == known_interpreter(folder, environments)
    made_at = (first.parent.parent / COMPLETE).stat().st_mtime_ns
    assert interpreter(folder, environments, Installs.ANY, 100) == first
    assert (first.parent.parent / COMPLETE).stat().st_mtime_ns == made_at
    found = list(first.parent.parent.glob("lib/python*/site-packages/helper.py"))
    assert len(found) == 1


@pytest.mark.full
def test_what_cannot_be_installed_says_why(tmp_path: Path) -> None:
    folder = with_wheels(tmp_path)
    (folder / "requirements.txt").write_text("numpy\nother\n")
    fault = try_python(folder, entry_of(), limits(tmp_path, Installs.LOCKED))
    assert fault is not None
    assert fault.reason == ConditionReason.LOAD_FAILED
    assert "its requirements cannot be installed: " in fault.message
    assert "other" in fault.message


@pytest.mark.full
def test_requirements_without_numpy_are_told_so(tmp_path: Path) -> None:
    folder = with_wheels(tmp_path)
    (folder / "requirements.txt").write_text("helper\n")
    fault = try_python(folder, entry_of(), limits(tmp_path, Installs.LOCKED))
    assert fault is not None
    assert fault.message == "its requirements lack numpy, which carries the arrays: add it"


@pytest.mark.full
def test_locked_requirements_need_the_very_bytes(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", DOUBLE)
    path = wheel(tmp_path / "index", "numpy", {"numpy.py": ""})
    wrong = hashlib.sha256(b"other").hexdigest()
    (folder / "requirements.txt").write_text(f"numpy @ file://{path} --hash=sha256:{wrong}\n")
    with pytest.raises(RequirementsError, match=r"(?i)hash"):
        interpreter(folder, tmp_path / "environments", Installs.LOCKED, 100)


def test_not_locked_is_a_fault_of_requirements() -> None:
    assert issubclass(NotLockedError, RequirementsError)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_model_runs_with_the_packages_that_it_requires(tmp_path: Path) -> None:
    source = """
        import idna
        def process_data(input_data):
            return {"y": [idna.encode("ä").decode()] * len(input_data["x"])}
    """
    folder = written(tmp_path / "model", source)
    (folder / "requirements.txt").write_text("idna\n")
    entry = entry_of(outputs=[{"name": "y", "type": "string"}])
    assert try_python(folder, entry, TrialLimits(300, Installs.ANY, tmp_path)) is None
    model = made(folder, outputs=[{"name": "y", "type": "string"}])
    assert model.artifact.interpreter.parent.parent.parent == tmp_path
    with kept(model):
        assert model.wait_loaded(60) is None


def test_a_worker_costs_little_beyond_its_models_own_imports(tmp_path: Path) -> None:
    source = """
        import numpy as np
        def process_data(input_data):
            lines = open("/proc/self/smaps_rollup").read().split()
            return {"y": np.array([float(lines[lines.index("Pss:") + 1])])}
    """
    with running(tmp_path, source) as model:
        (kibibytes,) = model.run([np.ones(1, np.float32)])
    assert kibibytes[0] < 40 * 1024
