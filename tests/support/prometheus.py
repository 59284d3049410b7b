"""Debian's Prometheus, with the configuration that we ship."""

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from helm import CHART, ROOT
from kubectl import Kubectl
from tools import need

HOST = "127.0.0.1"
_SECONDS = 20

Object = dict[str, Any]


def configuration(folder: Path, alerts: Path, *where: Kubectl) -> Object:
    """Give the scrape configuration that we ship, for some namespaces, and the alerts.

    Debian's Prometheus is built without Kubernetes: targets come from a file that says of the pods
    what that discovery would. Which pods, and what is made of them, is as we ship it.
    """
    shipped = yaml.safe_load((ROOT / "gitops/prometheus/scrape.yaml").read_text())
    (job,) = shipped["scrape_configs"]
    ((discovery,), file) = job.pop("kubernetes_sd_configs"), folder / "targets.json"
    (selector,) = discovery["selectors"]
    assert discovery["role"] == selector["role"] == "pod"
    asked = [one.get("pods", f"--selector={selector['label']}")["items"] for one in where]
    pods = [pod for found in asked for pod in found]
    file.write_text(json.dumps([target for pod in pods for target in discovered(pod)]))
    job["file_sd_configs"] = [{"files": [str(file)]}]
    pace = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {"global": pace, "rule_files": [str(alerts)], **shipped}


def discovered(pod: Object) -> Iterator[Object]:
    """Give what Prometheus makes of a pod: a target for each port that it declares."""
    meta, ip = "__meta_kubernetes_", pod["status"].get("podIP")
    for container in pod["spec"]["containers"] if ip else ():
        for port in container.get("ports", ()):
            labels = {
                f"{meta}namespace": pod["metadata"]["namespace"],
                f"{meta}pod_name": pod["metadata"]["name"],
                f"{meta}pod_phase": pod["status"]["phase"],
                f"{meta}pod_container_port_name": port.get("name", ""),
            }
            yield {"targets": [f"{ip}:{port['containerPort']}"], "labels": labels}


@contextmanager
def prometheus(folder: Path, config: Object) -> Iterator[str]:
    """Run it until the block ends; gives its address."""
    program = need("prometheus")
    with socket.create_server((HOST, 0)) as free:
        address = f"{HOST}:{free.getsockname()[1]}"
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder / "tsdb", ignore_errors=True)


def ask(url: str, path: str, **query: str) -> Any:
    """Ask its API; None while it starts."""
    try:
        asked = f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code < 500:
                raise AssertionError(f"{query}: {refused.read().decode()}") from refused
        return None
    except OSError:
        return None


def samples(url: str, expression: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series that an expression gives now."""
    said = ask(url, "query", query=expression) or {"result": []}
    return [(one["metric"], float(one["value"][1])) for one in said["result"]]


def panels() -> dict[str, list[str]]:
    """Every query of the dashboard by its panel, with the variables as Grafana puts them in."""
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    variables = {"$namespace": ".*", "$pipeline": ".*", "$__rate_interval": "30s"}

    def put_in(query: str) -> str:
        for name, value in variables.items():
            query = query.replace(name, value)
        return query

    return {
        panel["title"]: [put_in(target["expr"]) for target in panel["targets"]]
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    }
