"""Make the examples' models, held-out rows and their record anew: `python examples/build.py`.

Needs the environment of `requirements.txt`. Name examples to make only those. What comes out is the
same to the byte on any x86-64 with AVX2: versions are locked, seeds fixed, and the numeric
libraries are held to one thread and to one instruction set before anything loads them.
"""

import hashlib
import json
import os
import platform
import re
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE / "build.json"
EXAMPLES = ("bike-demand", "rare-events", "digits", "forecast", "labels")
APART = ("place-names",)
"""Made by name only, in an environment of its own, which its README names."""

PACKAGES = ("numpy", "onnx", "onnxruntime", "pillow", "scikit-learn", "scipy", "skl2onnx")

PINNED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # TensorFlow's
}
"""Other instructions add in another order; training could carry the last bits into the files."""


def main(names: list[str]) -> None:
    """Make the named examples, all of them by default."""
    os.environ.update(PINNED)
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {"examples": {}, "packages": {}}
    made = known["examples"]
    for name in names or EXAMPLES:
        print(f"{name}:")
        made[name] = _make(HERE / name)
    record = {
        "python": platform.python_version(),
        "packages": known["packages"] if set(names) & set(APART) else _versions(),
        "examples": {name: made[name] for name in (*EXAMPLES, *APART) if name in made},
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n")


def _versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def _make(folder: Path) -> dict[str, Any]:
    """Run one example's `make.py`, then pin its models in the manifest."""
    made = runpy.run_path(str(folder / "make.py"))["make"](folder)
    kept = ("models/*", "held-out.json", "held-out/*", "truth.json")
    files = [file for pattern in kept for file in sorted(folder.glob(pattern))]
    made["files"] = {str(file.relative_to(folder)): _identity(file) for file in files}
    for manifest in sorted(folder.glob("*.yaml")):
        _pin(manifest, made["files"])
    _tell(folder / "README.md", made["quality"])
    return made


def _identity(file: Path) -> dict[str, str | int]:
    content = file.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _pin(manifest: Path, files: dict[str, dict[str, str | int]]) -> None:
    """Write each model's digest behind its address in the manifest."""
    pattern = re.compile(r"(uri: file:(\S+)\n\s+sha256: )\S+")
    text = pattern.sub(lambda m: f"{m[1]}{files[m[2]]['sha256']}", manifest.read_text())
    manifest.write_text(text)


def _tell(readme: Path, quality: dict[str, dict[str, float]]) -> None:
    """Write the figures into the README, so that nobody types them."""
    measures = list(next(iter(quality.values())))
    lines = [["model", *measures], ["---"] * (len(measures) + 1)]
    lines += [
        [name, *(f"{figure:.4g}" for figure in row.values())] for name, row in quality.items()
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    begin, end = "<!-- figures: written by build.py -->", "<!-- end of figures -->"
    text = re.sub(f"(?s){begin}.*{end}", f"{begin}\n{table}\n{end}", readme.read_text())
    readme.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
