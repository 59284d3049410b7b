"""The real Helm, as a user runs it."""

import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/tiltyard"
_SECONDS = 120.0

Object = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """Helm for one namespace, with folders of its own."""

    program: Path
    home: Path
    namespace: str = "tiltyard"
    kubeconfig: Path | None = field(default=None)

    def at(self, namespace: str) -> "Helm":
        """Give the same for another namespace."""
        return replace(self, namespace=namespace)

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run it; the exit code is the caller's to judge."""
        where = [f"--namespace={self.namespace}"]
        if self.kubeconfig:
            where.append(f"--kubeconfig={self.kubeconfig}")
        return subprocess.run(
            [self.program, *where, *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
        )

    def __call__(self, *arguments: str | Path) -> str:
        """Run it, insist that it succeeds, and give what it printed."""
        done = self.run(*arguments)
        said = f"helm {' '.join(map(str, arguments))}: {done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    def objects(self, *values: str) -> list[Object]:
        """Render the chart with values as `--set` takes them."""
        arguments = [f"--set={one}" for one in values]
        return parsed(self("template", "tiltyard", CHART, *arguments))


def parsed(text: str) -> list[Object]:
    """Give the objects of rendered manifests."""
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(objects: list[Object], kind: str) -> Object:
    """Find the only object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found
