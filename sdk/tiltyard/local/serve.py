"""`tiltyard serve`: Pipelines on this machine until it is told to end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tiltyard.local.compiled import compile_all
from tiltyard.local.resolving import Sources, store_folder
from tiltyard.local.service import Service, serving
from tiltyard.local.signals import Stopped, held_signals, pause
from tiltyard.local.sockets import GRPC_OPTION, PortTaken, Sockets, open_sockets, url_of
from tiltyard.local.watch import POLL_SECONDS, FileWatch, follow, served
from tiltyard.manifests import read_manifests
from tiltyard.notices import notice, result
from tiltyard.samples import curl_command
from tiltyard_api.names import GRPC_PORT

IDLE_SECONDS = 3600.0
"""Without a file to watch nothing happens but signals and the end of the engine."""

LOOK_SECONDS = 1.0
"""How often canaries are looked at."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve."""

    host: str
    port: int
    management_port: int
    workers: int
    limits: Mapping[str, str]
    """Limits of the data port that are not the engine's own, by the names of their flags."""

    grpc_port: int | None = None
    """None: the usual one, where that can be."""

    claims: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for the volumes of `pvc:` sources."""

    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for the Secrets of sources, records and ids."""

    records: Path | None = None
    """Folder of the records of Pipelines that say nothing of them; None: they have none."""


def serve(files: Sequence[Path], options: Options, *, watch: bool) -> None:
    """Serve the Pipelines of files until SIGTERM or SIGINT.

    Raises:
        Failure: they cannot be served, or the engine died.

    """
    try:
        with held_signals():
            _serve(files, options, FileWatch(files if watch else ()))
    except Stopped:
        return


def _serve(files: Sequence[Path], options: Options, watched: FileWatch) -> None:
    sources = Sources(store_folder(), options.claims, options.secrets)
    compiled = compile_all(served(read_manifests(files).served()), sources)
    sockets = _open_sockets(options)
    flags = {**options.limits, **records_flags(options.records)}
    with serving(compiled, sockets, sources.store, flags, options.secrets) as service:
        if sockets.grpc:
            notice(f"gRPC at {url_of(sockets.grpc[0]).removeprefix('http://')}")
        result(ready_line(service))
        looked = 0.0
        while True:
            moving = any(one.canaries or one.experiment for one in service.compiled)
            idle = LOOK_SECONDS if moving else IDLE_SECONDS
            pause(POLL_SECONDS if watched.files else idle)
            service.check()
            if watched.changed():
                follow(service, watched.files, sources)
            if moving and time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                service.move_ramps()
                service.keep_verdicts()


def records_flags(folder: Path | None) -> dict[str, str]:
    """Option of the engine for records; none where what writes them is not installed."""
    if folder is None or find_spec("pyarrow") is None:
        return {}
    return {"records": str(folder.absolute())}


def _open_sockets(options: Options) -> Sockets:
    """Listen; nobody who did not ask for gRPC shall fail for the sake of it."""

    def listen(grpc_port: int | None) -> Sockets:
        where = options.host, options.port, options.management_port
        return open_sockets(*where, options.workers, grpc_port)

    if options.grpc_port is not None:
        return listen(options.grpc_port)
    if find_spec("google") is None or find_spec("google.protobuf") is None:
        return listen(None)  # the extra is not installed
    try:
        return listen(GRPC_PORT)
    except PortTaken as taken:
        if taken.option != GRPC_OPTION:
            raise
    notice(f"port {GRPC_PORT} is taken, so nothing is served over gRPC: choose a {GRPC_OPTION}")
    return listen(None)


def ready_line(service: Service) -> str:
    """One line: what is served where, and a request to try."""
    names = ", ".join(one.manifest.name for one in service.compiled)
    curl = curl_command(service.compiled[0].plan, service.url)
    return f"serving {names} at {service.url}, management at {service.management_url}; try: {curl}"
