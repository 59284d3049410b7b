"""Converts one model as a request asks, and writes what came of it beside the samples."""

import contextlib
import importlib
import json
import os
import sys
import traceback
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .base import Conversion, Fault

ANSWER = "answer.json"
SAMPLES = "samples.npz"


def main(request: str) -> None:
    """Serve one request, given as JSON; what libraries print goes to standard error."""
    sys.stdout = sys.stderr
    warnings.simplefilter("ignore")  # libraries warn of each other; the comparison is what counts
    asked = json.loads(request)
    folder = Path(asked["folder"])
    try:
        answer = _convert(asked, folder)
    except Fault as fault:
        answer = {"fault": str(fault)}
    except ModuleNotFoundError as error:
        answer = {"missing": error.name}
    except Exception as error:  # noqa: BLE001 - of other people's libraries: anything may come
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    (folder / ANSWER).write_text(json.dumps(answer))
    sys.stderr.flush()
    os._exit(0)  # threads of libraries do not hold it up


def _convert(asked: dict[str, Any], folder: Path) -> dict[str, Any]:
    program = importlib.import_module(f".{asked['program']}", __package__)
    conversion: Conversion = program.convert(Path(asked["model"]), asked["rows"])
    Path(asked["to"]).write_bytes(conversion.model)
    arrays = {}
    for side, given in (("in", conversion.inputs), ("out", conversion.outputs)):
        for number, array in enumerate(given.values()):
            plain = np.asarray(array)
            arrays[f"{side}_{number}"] = plain.astype(str) if plain.dtype == object else plain
    np.savez(folder / SAMPLES, **arrays)  # type: ignore[arg-type]  # one of its names is a bool
    return {
        "inputs": list(conversion.inputs),
        "outputs": list(conversion.outputs),
        "columns": {name: list(columns) for name, columns in conversion.columns.items()},
        "versions": dict(_versions(asked["packages"])),
    }


def _versions(packages: list[str]) -> list[tuple[str, str]]:
    found = []
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found.append((package, version(package)))
    return found
