"""Conversions as users do them: by `tiltyard convert`, in environments of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engines import TILTYARD
from tiltyard.convert import tools
from tiltyard.convert.frameworks import TOOLS, Framework

FIXTURES = Path(__file__).with_name("converted")
"""A folder for each framework: a converted model, rows, the original's answers, the versions."""


def original(framework: Framework, folder: Path) -> Path:
    """Train a model of the framework; its rows and answers lie beside it."""
    python = tools.interpreter(framework, TOOLS[framework])
    script = Path(__file__).with_name("originals.py")
    done = subprocess.run(
        [python, "-I", script, framework, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    name: str = json.loads((folder / "record.json").read_text())["model"]
    return folder / name


def converted(framework: Framework, folder: Path) -> str:
    """Train and convert into `model.onnx`; gives what the command says."""
    model = original(framework, folder)
    command = [TILTYARD, "convert", str(model), "--to", str(folder / "model.onnx")]
    command += ["--rows", str(folder / "rows.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main(names: list[str]) -> None:
    """Make the committed models anew: `python conversions.py [FRAMEWORK...]`."""
    for name in names or list(Framework):
        with tempfile.TemporaryDirectory() as folder:
            said = converted(Framework(name), Path(folder))
            record = json.loads(Path(folder, "record.json").read_text())
            record["versions"] = said.splitlines()[0].removeprefix("# ")
            home = FIXTURES / name
            home.mkdir(parents=True, exist_ok=True)
            (home / "record.json").write_text(json.dumps(record, indent=1) + "\n")
            for file in ("model.onnx", "rows.json"):
                shutil.copy(Path(folder, file), home / file)


if __name__ == "__main__":
    main(sys.argv[1:])
