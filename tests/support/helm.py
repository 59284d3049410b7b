"""The real Helm, as a user runs it."""

import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from kubectl import Kubectl

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


def older_chart(folder: Path) -> Path:
    """Write the chart as an older one would be: with definitions that know less."""
    shutil.copytree(CHART, folder)
    chart = folder / "Chart.yaml"
    chart.write_text(chart.read_text().replace("0.1.0", "0.0.9"))
    for path in (folder / "files/crds").iterdir():
        definition = yaml.safe_load(path.read_text())
        (version,) = definition["spec"]["versions"]
        version["additionalPrinterColumns"] = version["additionalPrinterColumns"][:1]
        path.write_text(yaml.safe_dump(definition))
    return folder


def columns(kubectl: Kubectl) -> list[str]:
    """Give what `kubectl get` says of Pipelines, by which an older chart is told."""
    definition = kubectl.get("crd", "pipelines.tiltyard.dev")
    (version,) = definition["spec"]["versions"]
    return [one["name"] for one in version["additionalPrinterColumns"]]
