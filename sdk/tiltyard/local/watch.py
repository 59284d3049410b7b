"""Follows manifest files while they are served."""

from collections.abc import Sequence
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.local.compiled import Compiled, compile_all, compile_weights
from tiltyard.local.resolving import Sources
from tiltyard.local.service import Service
from tiltyard.manifests import Manifest, read_manifests
from tiltyard.notices import notice
from tiltyard_api.routing import CanaryRouting, ShadowRouting, StepRouting

POLL_SECONDS = 0.05
"""How often files are looked at: a change is in force after two looks."""

Stamp = tuple[int, int, int] | None


class FileWatch:
    """Tells when files have changed and come to rest.

    An editor may write a file in several strokes; half a manifest can be a valid one that means
    something else.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self._known = self._last = self._stamps()

    def changed(self) -> bool:
        """Whether there is something new to read; call it every `POLL_SECONDS`."""
        now = self._stamps()
        at_rest, self._last = now == self._last, now
        if not at_rest or now == self._known:
            return False
        self._known = now
        return True

    def _stamps(self) -> list[Stamp]:
        return [_stamp(file) for file in self.files]


def follow(service: Service, files: Sequence[Path], sources: Sources) -> None:
    """Put in force what the files say now, or say why not and leave everything as it is."""
    try:
        notice(put_in_force(service, served(read_manifests(files).served()), sources))
    except Failure as failure:
        for line in failure.lines:
            notice(line)
        notice("not in force: what ran keeps running")


def served(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Leave out the Pipelines that are suspended, and say so.

    Raises:
        Failure: none is left.

    """
    suspended = [one.name for one in manifests if one.pipeline.spec.suspend]
    kept = [one for one in manifests if not one.pipeline.spec.suspend]
    names = ", ".join(suspended)
    if not kept:
        raise Failure(f"{names} is suspended, nothing is left to serve: set spec.suspend to false")
    if suspended:
        notice(f"not served, since it is suspended: {names}")
    return kept


def put_in_force(service: Service, manifests: Sequence[Manifest], sources: Sources) -> str:
    """Serve Pipelines in the place of those that are served.

    Returns:
        What was done, in one line.

    Raises:
        Failure: they cannot be served; what ran keeps running.

    """
    compiled = compile_weights(manifests, service.compiled)
    if compiled is None:
        compiled = compile_all(manifests, sources)
        if not _same_engine(compiled, service.compiled):
            service.serve(compiled)
            plans = ", ".join(f"{one.manifest.name} {one.plan.hash[:10]}" for one in compiled)
            return f"in force, by a new engine: plan of {plans}"
    if all(map(Compiled.same_routing, compiled, service.compiled)):
        return "nothing changed that is served"
    if service.route(compiled):
        return f"in force, nothing restarted: {_weights(service)}"
    return f"not confirmed by every worker, see its log: {_weights(service)}"


def _same_engine(new: Sequence[Compiled], old: Sequence[Compiled]) -> bool:
    return len(new) == len(old) and all(map(Compiled.same_engine, new, old))


def _weights(service: Service) -> str:
    """Weights and samples of every step, as `prices.price a=2 b=1`."""
    return ", ".join(
        f"{pipeline}.{step} {_shares(routing)}"
        for pipeline, table in service.tables.items()
        for step, routing in table.steps.items()
    )


def _shares(routing: StepRouting) -> str:
    match routing:
        case CanaryRouting():
            share = "rolled back" if routing.latched else f"{routing.weight:g}%"
            return f"candidate={share} ({routing.stage_id})"
        case ShadowRouting():
            shares = routing.samples
        case _:
            shares = routing.weights
    return " ".join(f"{name}={value:g}" for name, value in shares.items())


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:  # between two strokes of an editor
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
