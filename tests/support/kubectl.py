"""The real kubectl, as a user runs it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SECONDS = 200.0


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one namespace, as one user."""

    program: Path
    kubeconfig: Path
    namespace: str

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run it; the exit code is the caller's to judge."""
        where = [f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]
        return subprocess.run(
            [self.program, *where, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run it, insist that it succeeds, and give what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> str:
        """Apply objects."""
        return self("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))

    def get(self, *arguments: str) -> dict[str, Any]:
        """Get objects as JSON."""
        return dict(json.loads(self("get", "--output=json", *arguments)))
