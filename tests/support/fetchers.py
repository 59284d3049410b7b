"""Runs the engine's fetcher as a resolve Job and an init step do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiltyard_api.artifacts import TrialReport

LOCAL = ("--allow-address", "127.0.0.0/8")
"""In tests the servers are on this machine."""

Done = subprocess.CompletedProcess[str]


def fetcher(command: str, *arguments: object, data: str = "", **environment: str) -> Done:
    """Run one command of the fetcher to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tiltyard_engine.fetch", command, *map(str, arguments)],
        input=data,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def entry(uri: str, framework: str = "onnx", **fields: Any) -> dict[str, Any]:
    """Describe a model; `sha256` and `secretName` belong to its source."""
    source = {"uri": uri}
    source |= {name: fields.pop(name) for name in ("sha256", "secretName") if name in fields}
    return {"name": "model", "framework": framework, "source": source, **fields}


def trial(
    model: dict[str, Any], folder: Path, *arguments: object, **environment: str
) -> tuple[TrialReport, Done]:
    """Try a model; returns what was reported."""
    report = folder / "report"
    request = json.dumps({"entry": model})
    done = fetcher("trial", "--request", request, "--report", report, *arguments, **environment)
    assert "Traceback" not in done.stderr, done.stderr
    told = report.read_bytes()
    assert len(told) <= 4096
    found = TrialReport.model_validate_json(told)
    assert done.returncode == (1 if found.fault else 0)
    if found.fault:
        assert done.stderr.splitlines()[-1] == found.fault
    return found, done


def artifacts(
    folder: Path, *wanted: dict[str, Any], arguments: tuple[object, ...] = LOCAL
) -> tuple[TrialReport | None, Path]:
    """Fetch what a plan pins; returns the refusal, if there is one, and the store."""
    listed, store = folder / "artifacts.json", folder / "models"
    listed.write_text(json.dumps({"artifacts": wanted}))
    done = fetcher("artifacts", "--list", listed, "--into", store, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    refusal = TrialReport.model_validate_json(done.stderr) if done.returncode else None
    return refusal, store
