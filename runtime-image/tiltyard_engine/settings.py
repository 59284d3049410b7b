"""Command line of the engine. The only place that reads arguments and environment."""

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tiltyard_api.artifacts import SECRETS
from tiltyard_api.limits import LIMITS
from tiltyard_api.names import DATA_PORT, MANAGEMENT_PORT
from tiltyard_api.quantities import seconds
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.kubeapi import ApiServer
from tiltyard_engine.sizes import Sizes

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token and the certificate of its API server."""

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_WATCH_HELP: Final = "take routing tables from this ConfigMap of the cluster, as it changes"


@dataclass(frozen=True, slots=True)
class Starter:
    """What a program that starts an engine may give it, and wait for."""

    data_sockets: tuple[int, ...]
    """Sockets to accept requests on, one a worker; empty: the engine binds its own."""

    grpc_sockets: tuple[int, ...]
    """Likewise for gRPC; empty where it is not served."""

    management_socket: int | None
    ready_pipe: int | None
    """Each worker writes one byte to it when it serves."""

    parent: int | None
    """Process that the engine must not outlive."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """The ConfigMap that routing tables come from."""

    namespace: str
    name: str
    server: ApiServer
    period: float
    """Seconds that a watch lasts; then the ConfigMap is read as a whole."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is decided when an engine is started."""

    plans: tuple[Path, ...]
    routing: tuple[Path, ...]
    artifacts: Path
    state: Path
    host: str
    port: int
    grpc_port: int | None
    """None: nothing is served over gRPC."""

    management_host: str
    management_port: int
    workers: int
    max_in_flight: int
    grace: float
    """Seconds that accepted requests may take to finish once the engine must end."""

    drain_delay: float
    """Seconds of accepting on after SIGTERM, while load balancers learn of it."""

    validation_budget: float
    """Seconds that an answer waits for validations that are not simple."""

    sizes: Sizes
    limits: Limits
    partition: str
    starter: Starter
    records: Path | None
    """Folder of the records of plans that say nothing of them; None: they have none."""

    secrets: Path
    """Folder with a folder for each Secret that records need."""

    feedback_age: float
    """Seconds that an inference id is taken for."""

    sums: Path
    """Folder of what feedback came to."""

    id_keys: Mapping[str, Path]
    """Folders with the keys that sign ids, by Pipeline; of others they follow from the uid."""

    watch: WatchSettings | None
    """None: routing tables come by SIGHUP alone."""

    @property
    def grpc_wanted(self) -> bool:
        """Whether anything is served over gRPC."""
        return self.grpc_port is not None or bool(self.starter.grpc_sockets)

    @property
    def remembered(self) -> Path:
        """Where the table that was taken last from what is watched is kept."""
        return self.state / "routing.json"

    @property
    def tables(self) -> tuple[Path, ...]:
        """Files that workers take routing tables from, one for each plan."""
        return (self.remembered,) if self.watch else self.routing


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; ends the process with a usage message where it is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if len(given.plan) != len(given.routing):
        parser.error("give one --routing for each --plan, in the same order")
    if bool(given.data_fd) != bool(given.management_fd):
        parser.error("give --data-fd and --management-fd together")
    if given.grpc_fd and len(given.grpc_fd) != len(given.data_fd):
        parser.error("give one --grpc-fd for each --data-fd")
    if given.watch_configmap and len(given.plan) != 1:
        parser.error("--watch-configmap is for an engine with one --plan")
    if given.watch_configmap and not given.api_server:
        parser.error("--watch-configmap needs --api-server outside a pod of Kubernetes")
    state = given.state or Path(tempfile.mkdtemp(prefix="tiltyard-"))
    return Settings(
        plans=tuple(given.plan),
        routing=tuple(given.routing),
        artifacts=given.artifacts,
        state=state,
        host=given.host,
        port=given.port,
        grpc_port=given.grpc_port,
        management_host=given.management_host,
        management_port=given.management_port,
        workers=len(given.data_fd) or given.workers or default_workers(),
        max_in_flight=given.max_in_flight,
        grace=given.grace,
        drain_delay=given.drain_delay,
        validation_budget=given.validation_budget,
        sizes=Sizes(bytes=given.max_body, rows=given.max_rows, depth=given.max_depth),
        limits=Limits(
            max_body=given.max_body,
            max_header_bytes=given.max_header_bytes,
            max_connections=given.max_connections,
            header_timeout=given.header_timeout,
            body_timeout=given.body_timeout,
            keep_alive=given.keep_alive,
        ),
        partition=os.environ.get("HOSTNAME", "engine"),
        records=given.records,
        secrets=given.secrets,
        starter=Starter(
            data_sockets=tuple(given.data_fd),
            grpc_sockets=tuple(given.grpc_fd),
            management_socket=given.management_fd,
            ready_pipe=given.ready_fd,
            parent=given.parent,
        ),
        feedback_age=given.feedback_age,
        sums=given.sums or state / "sums",
        id_keys=dict(given.id_keys),
        watch=_watch(given),
    )


def _watch(given: argparse.Namespace) -> WatchSettings | None:
    if not given.watch_configmap:
        return None
    namespace, name = given.watch_configmap
    host, port = given.api_server
    server = ApiServer(host, port, given.api_token, given.api_ca)
    return WatchSettings(namespace, name, server, given.watch_period)


def _pods_api_server() -> str | None:
    """What Kubernetes tells every container of where its API server is."""
    host, port = map(os.environ.get, ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"))
    if not host or not port:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def cpus() -> float:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    allowed = float(len(os.sched_getaffinity(0)))
    for quota_file in (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")):
        try:
            quota, *period = quota_file.read_text().split()
            if not period:
                period = [quota_file.with_name("cpu.cfs_period_us").read_text()]
            return min(allowed, float(quota) / float(period[0])) if float(quota) > 0 else allowed
        except (OSError, ValueError):  # no such hierarchy, or "max"
            continue
    return allowed


def default_workers() -> int:
    """One worker for each whole core."""
    return max(1, int(cpus()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tiltyard_engine", description="Serve the plan of a Pipeline.")
    add = parser.add_argument
    add("--plan", type=Path, action="append", required=True, metavar="FILE")
    add("--routing", type=Path, action="append", required=True, metavar="FILE")
    add("--artifacts", type=Path, required=True, metavar="DIR", help="model files by digest")
    add("--state", type=Path, metavar="DIR", help="counters; survives a restart of the process")
    add("--sums", type=Path, metavar="DIR", help="what feedback came to; default: below --state")
    add(
        "--id-keys",
        type=_folder_of,
        action="append",
        default=[],
        metavar="PIPELINE=DIR",
        help="keys that sign its inference ids: a Secret's",
    )
    add("--host", default="0.0.0.0")  # noqa: S104 - a pod serves on all its addresses
    add("--port", type=_bounded(0, 65535), default=DATA_PORT)
    add(
        "--grpc-port",
        type=_bounded(0, 65535),
        help="serve the Open Inference Protocol over gRPC too",
    )
    add("--management-host", default="0.0.0.0")  # noqa: S104 - likewise
    add("--management-port", type=_bounded(0, 65535), default=MANAGEMENT_PORT)
    add("--workers", type=_bounded(1, 256), help="default: whole cpus, at least 1")
    add(
        "--data-fd",
        type=int,
        action="append",
        default=[],
        metavar="FD",
        help="bound socket to serve on, one a worker; instead of host, port and workers",
    )
    add("--grpc-fd", type=int, action="append", default=[], metavar="FD", help="likewise, for gRPC")
    add("--management-fd", type=int, metavar="FD", help="likewise, for the management port")
    add("--ready-fd", type=int, metavar="FD", help="pipe that gets a byte from each ready worker")
    add("--parent", type=int, metavar="PID", help="end when this process, our parent, ends")
    add("--records", type=Path, metavar="DIR", help="for plans that say nothing of records")
    add("--secrets", type=Path, default=Path(SECRETS), metavar="DIR", help="a folder a Secret")
    add("--watch-configmap", type=_object_name, metavar="NAMESPACE/NAME", help=_WATCH_HELP)
    add("--watch-period", type=_reader(seconds), default="30s")
    add("--api-server", type=_https, default=_pods_api_server(), metavar="URL")
    add("--api-token", type=Path, default=SERVICE_ACCOUNT / "token", metavar="FILE")
    add("--api-ca", type=Path, default=SERVICE_ACCOUNT / "ca.crt", metavar="FILE")
    for name, limit in LIMITS.items():
        text = f"{limit.what} Default {limit.default}."
        add(f"--{name}", type=_reader(limit.read), default=limit.default, help=text)
    return parser


def _folder_of(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form PIPELINE=DIR")
    return name, Path(folder)


def _object_name(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    if not all(map(_NAME.fullmatch, (namespace, name))):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAMESPACE/NAME")
    return namespace, name


def _https(text: str) -> tuple[str, int]:
    """Host and port of an address; the token must not go over an open line."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or 443
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: {error}") from error
    if parts.scheme != "https" or not host or parts.path not in ("", "/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form https://HOST:PORT")
    return host, port


def _bounded(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not between {low} and {high}")
        return number

    return whole


def _reader(reads: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return reads(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
