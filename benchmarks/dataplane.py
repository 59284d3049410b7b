"""The one place where the benchmark calls the engine in process, without transport."""

import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from tiltyard_api.manifest import read_pipeline
from tiltyard_api.names import local_uid
from tiltyard_core.compile import compile_plan, compile_routing
from tiltyard_core.references import entries
from tiltyard_engine.app import App
from tiltyard_engine.challengers import make_ring
from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.faces import open_faces
from tiltyard_engine.garbage import settle
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.metrics import engine_series
from tiltyard_engine.outbox import Outbox
from tiltyard_engine.pipeline import Loaded, ServedPipeline
from tiltyard_engine.resolve import facts
from tiltyard_engine.scheduler import Scheduler
from tiltyard_engine.sessions import Session
from tiltyard_engine.sizes import Sizes
from tiltyard_engine.sources.base import Access
from tiltyard_engine.steps.base import Context

Answer = Callable[[list[bytes]], list[bytes]]
HEADERS = {b"content-type": b"application/json", b"host": b"localhost"}


class TurnLoop:
    """Stands in for the event loop: what was put off runs when the turn ends."""

    def __init__(self) -> None:
        self._later: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run a callback at the end of the turn."""
        self._later.append(callback)

    def call_later(self, _seconds: float, callback: Callable[[], None]) -> None:
        """Run a callback at the end of the turn, which is earlier than asked for."""
        self._later.append(callback)

    def end_turn(self) -> None:
        """Run what was put off, and what that puts off."""
        while self._later:
            now, self._later = self._later, []
            for callback in now:
                callback()


def open_dataplane(manifest: Path) -> Answer:
    """Load a manifest as the engine does and return its data plane as a plain function.

    The function takes the bodies (records) that one turn of the event loop would hold and returns
    their answers, with all that a served request pays for except its transport: limits, decode,
    draw, steps, encode, ids, headers and counters.
    """
    loaded = load(manifest)
    counters = CounterFile(
        Path(tempfile.mkdtemp()) / "counters", Layout(engine_series([loaded.plan])), 1
    )
    block = counters.blocks[0]
    outbox = Outbox([loaded.plan], make_ring([loaded], block))
    served = ServedPipeline(loaded, block, outbox)
    loop = TurnLoop()
    draw = partial(random.Random(1).getrandbits, 64)
    scheduler = Scheduler(loop, Context(time.perf_counter_ns, draw, watched=False), 1)
    app = App(open_faces([served], "benchmark", Sizes()), scheduler, loop, block, 1024)
    settle()
    path = f"/pipelines/{loaded.plan.pipeline}"

    def answer(bodies: list[bytes]) -> list[bytes]:
        answers: list[Response] = []
        for body in bodies:
            app.handle(Request("POST", path, "", HEADERS, body), answers.append)
        loop.end_turn()
        return [response.body for response in answers]

    return answer


def load(manifest: Path) -> Loaded:
    """Load a manifest as the engine does."""
    pipeline = read_pipeline(yaml.safe_load(manifest.read_text()))
    store = Path(tempfile.mkdtemp())
    access = Access(folder=manifest.parent)
    resolved = {one.name: facts(one, access, store) for _, one in entries(pipeline)}
    plan = compile_plan(pipeline, resolved)
    table = compile_routing(pipeline, plan, local_uid("default", plan.pipeline), 1)
    sessions = {model.name: Session(model, store / model.digest) for model in plan.models}
    for session in sessions.values():
        session.learn()
    return Loaded(plan, table, sessions)
