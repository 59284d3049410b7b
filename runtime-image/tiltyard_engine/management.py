"""The management port: alive, ready, metrics, status.

A process of its own, so that it answers while the workers are saturated.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import uvloop
from prometheus_client.exposition import choose_encoder

from tiltyard_api.plan import Plan, PlanCanary, PlanStep
from tiltyard_api.reasons import Reason
from tiltyard_engine.canaries import CanaryCells, every_canary, report, unheeded
from tiltyard_engine.counters import CounterFile
from tiltyard_engine.dataplane import runs
from tiltyard_engine.disagreements import Slates, worst
from tiltyard_engine.errors import Refusal
from tiltyard_engine.exposition import registry
from tiltyard_engine.feedback.sums import Sums
from tiltyard_engine.figures import figures_of
from tiltyard_engine.handover import NOT_WATCHED, Handover
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Reply, Request, Response
from tiltyard_engine.http.server import Server
from tiltyard_engine.inforce import lowest
from tiltyard_engine.metrics import READY, variants_of
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.problem import JSON, problem
from tiltyard_engine.settings import Settings
from tiltyard_engine.watch import Watch

TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
START_SECONDS = 2.0
"""How long questions wait at first for the workers: an engine that takes over from another must
not say that nothing is ready. Workers that need longer are news."""

HEED_SECONDS = 0.1
"""How often it is looked whether all workers heed what one has found of a candidate."""

MANAGEMENT_LIMITS = Limits(max_body=1024, max_connections=256)


def _down(one: Loaded) -> Iterator[str]:
    """Steps that can answer nobody at the moment, whichever of their models is asked."""
    for step in one.plan.steps:
        for models in runs(step):
            faults = {name: one.sessions[name].why_down() for name in models}
            if all(faults.values()):
                words = ", ".join(f"model {name!r} {fault}" for name, fault in faults.items())
                yield f"step {step.name!r}: {words}"


def run_management(
    settings: Settings,
    loaded: Sequence[Loaded],
    counters: CounterFile,
    slates: Sequence[Slates],
    listening: socket.socket,
) -> None:
    """Answer the management port, and watch for routing tables, until SIGTERM."""
    uvloop.run(_run(settings, loaded, counters, slates, listening))


async def _run(
    settings: Settings,
    loaded: Sequence[Loaded],
    counters: CounterFile,
    slates: Sequence[Slates],
    listening: socket.socket,
) -> None:
    tell = _tell_supervisor(os.getppid())
    canaries = every_canary([one.plan for one in loaded], counters)
    beside = [asyncio.create_task(_see_heeded(list(canaries.values()), tell))] if canaries else []
    handover = None
    if settings.watch:
        handover = Handover(loaded[0], settings.remembered, counters, tell)
        watch = Watch(settings.watch, handover)
        beside.append(asyncio.create_task(watch.run()))
        await watch.first_look(START_SECONDS)
    await _serve(Management(loaded, counters, slates, handover), listening)
    for task in beside:
        task.cancel()


async def _see_heeded(canaries: Sequence[Sequence[CanaryCells]], tell: Callable[[], None]) -> None:
    """Have workers look again that still ask a candidate which another of them found bad."""
    while True:
        if any(map(unheeded, canaries)):
            tell()
        await asyncio.sleep(HEED_SECONDS)


def _tell_supervisor(supervisor: int) -> Callable[[], None]:
    def tell() -> None:
        if os.getppid() == supervisor:  # else it is gone, and we are about to be told
            os.kill(supervisor, signal.SIGHUP)

    return tell


async def _serve(management: "Management", listening: socket.socket) -> None:
    server = Server(management.handle, lambda refusal, _: problem(refusal), MANAGEMENT_LIMITS)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor says when
    await management.workers_up(START_SECONDS)
    await server.start(listening)
    await ended.wait()
    server.drain()
    server.stop_accepting()
    await server.finished(1.0)


class Management:
    """Answers what the kubelet, Prometheus and the operator ask."""

    def __init__(
        self,
        loaded: Sequence[Loaded],
        counters: CounterFile,
        slates: Sequence[Slates] = (),
        handover: Handover | None = None,
    ) -> None:
        self._loaded = loaded
        self._handover = handover
        self._plans: list[Plan] = [one.plan for one in loaded]
        self._counters = counters
        self._slates = slates
        self._canaries = every_canary(self._plans, counters)
        self._registry = registry(counters, self._plans)
        opened = {one.plan.pipeline: one.experiment for one in loaded if one.experiment}
        self._sums = {name: Sums(one.book, one.layout) for name, one in opened.items()}
        self._paths: dict[str, Callable[[Request], Response]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/status": self._status,
            "/disagreements": self._disagreements,
        }

    async def workers_up(self, wait: float) -> None:
        """Wait until all workers serve, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not all(block.read(READY) for block in self._counters.blocks):  # noqa: ASYNC110 - other processes' memory
                    await asyncio.sleep(0.01)

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request."""
        answer = self._paths.get(request.path)
        if answer is None:
            known = ", ".join(self._paths)
            reply(problem(Refusal(Reason.UNKNOWN_PATH, f"nothing at {request.path}: see {known}")))
        elif request.method not in ("GET", "HEAD"):
            refusal = Refusal(Reason.METHOD_NOT_ALLOWED, f"{request.path} takes GET and HEAD")
            reply(problem(refusal, b"Allow: GET, HEAD\r\n"))
        else:
            reply(answer(request))

    def _livez(self, _request: Request) -> Response:
        return Response(200, b"ok\n", TEXT)

    def _readyz(self, _request: Request) -> Response:
        down = [fault for one in self._loaded for fault in _down(one)]
        if down:
            return problem(Refusal(Reason.NOT_READY, "; ".join(down)))
        waiting = [n for n, block in enumerate(self._counters.blocks) if not block.read(READY)]
        if not waiting:
            return Response(200, b"ok\n", TEXT)
        names = ", ".join(map(str, waiting))
        message = f"workers not serving: {names} of {len(self._counters.blocks)}"
        return problem(Refusal(Reason.NOT_READY, f"{message}: starting or draining, ask again"))

    def _metrics(self, request: Request) -> Response:
        accept = request.headers.get(b"accept", b"").decode("latin-1")
        encode, content_type = choose_encoder(accept)
        return Response(200, encode(self._registry), f"Content-Type: {content_type}\r\n".encode())

    def _status(self, _request: Request) -> Response:
        body = {
            "workers": [bool(block.read(READY)) for block in self._counters.blocks],
            "pipelines": [self._pipeline(one) for one in self._loaded],
        }
        return Response(200, json.dumps(body).encode(), JSON)

    def _disagreements(self, _request: Request) -> Response:
        """Answer with what challengers got most wrong, by Pipeline, step and model."""
        found: dict[str, dict[str, dict[str, object]]] = {}
        for key in self._slates[0] if self._slates else ():
            rows = [one.model_dump(mode="json") for one in worst(self._slates, key)]
            found.setdefault(key.pipeline, {}).setdefault(key.step, {})[key.challenger] = rows
        return Response(200, json.dumps(found).encode(), JSON)

    def _pipeline(self, one: Loaded) -> dict[str, object]:
        plan = one.plan
        return {
            "name": plan.pipeline,
            "namespace": plan.namespace,
            "uid": one.table.pipeline_uid,
            "plan": plan.hash,
            "version": plan.version,
            "routing": self._routing(plan.pipeline),
            **self._experiment(plan.pipeline),
            "models": [
                {
                    "name": model.name,
                    "version": model.version,
                    "digest": model.digest,
                    "batchable": one.sessions[model.name].batchable,
                }
                for model in plan.models
            ],
            "steps": [
                {
                    "name": step.name,
                    "variants": {
                        variant: self._variant(plan.pipeline, step.name, variant)
                        for variant in variants_of(step)
                    },
                    **self._canary(plan.pipeline, step),
                }
                for step in plan.steps
            ],
        }

    def _experiment(self, pipeline: str) -> dict[str, object]:
        """What feedback came to."""
        sums = self._sums.get(pipeline)
        told = sums and sums.told().model_dump(mode="json", by_alias=True)
        return {"experiment": told} if told else {}

    def _canary(self, pipeline: str, step: PlanStep) -> dict[str, object]:
        """What was counted of a canary, and whether this engine has rolled it back."""
        if not isinstance(step, PlanCanary):
            return {}
        found = report(self._canaries[pipeline, step.name], self._counters.incarnation)
        return {"canary": found and found.model_dump(mode="json", by_alias=True)}

    def _routing(self, pipeline: str) -> dict[str, object]:
        """What every worker runs at least, never what is only on its way to them."""
        found = lowest(self._counters.blocks, pipeline)
        watched = self._handover.report(found) if self._handover else NOT_WATCHED
        return {"revision": found.revision, "hash": found.hash, **watched}

    def _variant(self, *labels: str) -> dict[str, object]:
        found = figures_of(self._counters, labels)
        return found.model_dump(mode="json", by_alias=True, exclude_none=True)
