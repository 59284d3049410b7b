"""`tiltyard serve`: Pipelines on this machine until it is told to end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tiltyard.local.compiled import compile_all
from tiltyard.local.resolving import Sources, store_folder
from tiltyard.local.service import Service, serving
from tiltyard.local.signals import Stopped, held_signals, pause
from tiltyard.local.sockets import open_sockets, url_of
from tiltyard.local.watch import POLL_SECONDS, FileWatch, follow, served
from tiltyard.manifests import read_manifests
from tiltyard.notices import notice, result
from tiltyard.samples import curl_command

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
    """None: nothing is served over gRPC."""

    claims: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for the volumes of `pvc:` sources."""

    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for the Secrets of sources."""


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
    sockets = open_sockets(
        options.host, options.port, options.management_port, options.workers, options.grpc_port
    )
    with serving(compiled, sockets, sources.store, options.limits) as service:
        if sockets.grpc:
            notice(f"gRPC at {url_of(sockets.grpc).removeprefix('http://')}")
        result(ready_line(service))
        looked = 0.0
        while True:
            ramps = any(one.canaries for one in service.compiled)
            idle = LOOK_SECONDS if ramps else IDLE_SECONDS
            pause(POLL_SECONDS if watched.files else idle)
            service.check()
            if watched.changed():
                follow(service, watched.files, sources)
            if ramps and time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                service.move_ramps()


def ready_line(service: Service) -> str:
    """One line: what is served where, and a request to try."""
    names = ", ".join(one.manifest.name for one in service.compiled)
    curl = curl_command(service.compiled[0].plan, service.url)
    return f"serving {names} at {service.url}, management at {service.management_url}; try: {curl}"
