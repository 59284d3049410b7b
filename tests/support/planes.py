"""Pipelines in process: real plans, real sessions, the real app, and no transport."""

import hashlib
import itertools
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from makers import Document
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.plan import Plan, PlanHashKey, PlanShadow, PlanSplit, RequestTensor
from tiltyard_api.routing import RoutingTable
from tiltyard_api.tensors import TensorType
from tiltyard_core.compile import compile_plan, compile_routing
from tiltyard_core.references import entries as described
from tiltyard_engine.app import App
from tiltyard_engine.challengers import Challengers, make_ring
from tiltyard_engine.codecs.formats import FORMATS, Format
from tiltyard_engine.counters import CounterFile, Layout, Series
from tiltyard_engine.disagreements import Slates, make_slates
from tiltyard_engine.faces import open_faces
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.metrics import DROPPED, MODEL_REASONS, engine_series
from tiltyard_engine.outbox import Outbox
from tiltyard_engine.pipeline import Loaded, ServedPipeline
from tiltyard_engine.resolve import facts
from tiltyard_engine.scheduler import Scheduler
from tiltyard_engine.sessions import Session
from tiltyard_engine.sizes import Sizes
from tiltyard_engine.sources.base import Access
from tiltyard_engine.steps.base import Context
from waiting import await_that

PATIENCE = 30.0
"""Seconds that a test waits for what must come; long, because the machine may be busy."""


class Turns:
    """Stands in for the event loop: callbacks run in the test's own thread, in order."""

    def __init__(self) -> None:
        self._callbacks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """Run a callback when the loop turns; from any thread."""
        self._callbacks.put(lambda: callback(*arguments))

    call_soon_threadsafe = call_soon

    def call_later(self, _seconds: float, callback: Callable[..., None]) -> None:
        """Run a callback without waiting for its time."""
        self.call_soon(callback)

    def until(self, done: Callable[[], bool]) -> None:
        """Turn until something is so."""
        while not done():
            self._callbacks.get(timeout=PATIENCE)()

    def idle(self) -> None:
        """Turn until nothing is left that was put off."""
        while not self._callbacks.empty():
            self._callbacks.get()()


@dataclass
class Answer:
    """What a client would get."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as what it says; NaN and Infinity are refused, as everywhere but in Python."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        return json.loads(self.body, parse_constant=refuse)

    def out(self, name: str = "y") -> list[Any]:
        """One output of every row."""
        assert self.status == 200, self.body
        return [row["out"][name] for row in self.json]


@dataclass
class Plane:
    """A Pipeline that answers."""

    plan: Plan
    table: RoutingTable
    sessions: dict[str, Session]
    served: ServedPipeline
    app: App
    turns: Turns
    counters: CounterFile
    context: Context
    sizes: Sizes
    slates: Slates
    answers: list[Answer] = field(default_factory=list)

    def ask(
        self, records: object, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and wait for its answer."""
        return self.ask_all([records], query, headers)[0]

    def ask_all(
        self, bodies: Sequence[object], query: str = "", headers: Mapping[str, str] | None = None
    ) -> list[Answer]:
        """Send several in one turn of the loop; the answers are in order."""
        answers: dict[int, list[Answer]] = {index: [] for index in range(len(bodies))}
        sent = {name.lower().encode(): text.encode() for name, text in (headers or {}).items()}
        for index, body in enumerate(bodies):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request = Request("POST", f"/pipelines/{self.plan.pipeline}", query, sent, data)
            self.app.handle(
                request,
                lambda r, index=index: answers[index].append(_answer(r)),  # type: ignore[misc] # its default
            )
        self.turns.until(lambda: all(answers.values()))
        self.turns.idle()
        assert all(len(mine) == 1 for mine in answers.values()), "each is answered once"
        return [answers[index][0] for index in range(len(bodies))]

    def send(
        self,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Answer:
        """Send one request of any face and wait for its answer."""
        answers: list[Answer] = []
        sent = {name.lower().encode(): text.encode() for name, text in (headers or {}).items()}
        request = Request(method, path, "", sent, body)
        self.app.handle(request, lambda response: answers.append(_answer(response)))
        self.turns.until(lambda: bool(answers))
        self.turns.idle()
        assert len(answers) == 1, "each is answered once"
        return answers[0]

    def count(self, metric: str, *labels: str) -> int:
        """Value of a counter; the Pipeline's own label is put in front."""
        return self.counters.total(Series(metric, (self.plan.pipeline, *labels)))

    def settle(self, challenger: str) -> None:
        """Wait until everything that a challenger was offered has come to an end."""
        await_that(lambda: len(set(self.accounts(challenger))) == 1)

    def accounts(self, challenger: str) -> tuple[int, int]:
        """What a challenger was offered, and the sum of what became of it."""
        step = next(one for one in self.plan.steps if isinstance(one, PlanShadow))
        labels = (step.name, challenger)
        ended = [("run",), *(("dropped", reason) for reason in DROPPED)]
        ended += [("failed", reason) for reason in MODEL_REASONS]
        counts = [
            self.count(f"tiltyard_shadow_{word}_total", *labels, *more) for word, *more in ended
        ]
        return self.count("tiltyard_shadow_offered_total", *labels), sum(counts)

    def table_with(self, **changes: object) -> RoutingTable:
        """Give the table in force with fields changed, revision one higher, and sealed."""
        fields = {"revision": self.served.plane.routing.revision + 1, **changes}
        return self.served.plane.routing.model_copy(update=fields).sealed()


def _answer(response: Response) -> Answer:
    lines = response.headers.decode().splitlines()
    return Answer(response.status, dict(line.split(": ", 1) for line in lines), response.body)


@contextmanager
def opened(
    folder: Path,
    models: Mapping[str, bytes],
    steps: Sequence[Document] | None = None,
    *,
    entries: Mapping[str, Document] | None = None,
    sizes: Sizes | None = None,
    draws: Sequence[int] | None = None,
    formats: Sequence[Format] = FORMATS,
    spec: Document | None = None,
    budget: float = PATIENCE,
) -> Iterator[Plane]:
    """Compile, load and open a Pipeline; by default its steps are its models in a row.

    Args:
        folder: where models and counters may be written.
        models: bytes by name.
        steps: as manifests write them.
        entries: more fields of the models' entries.
        sizes: limits of one request.
        draws: what chance gives, again and again; by default seeded chance.
        formats: what rows are taken and given in.
        spec: more fields of the manifest.
        budget: seconds that an answer waits for validations.

    """
    plan, table, store = compiled(folder, models, steps, entries=entries, spec=spec)
    sessions = {model.name: Session(model, store / model.digest) for model in plan.models}
    for session in sessions.values():
        session.learn()
    counters = CounterFile(folder / "counters", Layout(engine_series([plan])), 1)
    loaded, block = Loaded(plan, table, sessions), counters.blocks[0]
    ring = make_ring([loaded], block)
    slates = make_slates([plan])
    challengers = Challengers([loaded], block, ring, slates=slates)
    served = ServedPipeline(loaded, block, Outbox([plan], ring), budget)
    served.begin()
    chance = random.Random(1)
    fixed = itertools.cycle(draws or [0])
    context = Context(
        time.perf_counter_ns,
        (lambda: next(fixed)) if draws else (lambda: chance.getrandbits(64)),
        watched=False,
    )
    turns = Turns()
    sizes = sizes or Sizes()
    scheduler = Scheduler(turns, context, 2)  # type: ignore[arg-type]  # what it uses of a loop
    routes = open_faces([served], "test", sizes, formats)
    app = App(routes, scheduler, turns, block, 4096)  # type: ignore[arg-type]  # likewise
    beside = threading.Thread(target=challengers.serve)
    beside.start()
    try:
        yield Plane(plan, table, sessions, served, app, turns, counters, context, sizes, slates)
    finally:
        served.close()
        challengers.stop()
        beside.join()
        scheduler.close()


def compiled(
    folder: Path,
    models: Mapping[str, bytes],
    steps: Sequence[Document] | None = None,
    *,
    entries: Mapping[str, Document] | None = None,
    spec: Document | None = None,
) -> tuple[Plan, RoutingTable, Path]:
    """Compile a Pipeline of real models; returns plan, routing table and store."""
    store = folder / "store"
    for name, data in models.items():
        (folder / f"{name}.onnx").write_bytes(data)
    document = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "tested"},
        "spec": {
            "models": [
                {
                    "name": name,
                    "framework": "onnx",
                    "source": {"uri": f"file:{name}.onnx"},
                    **(entries or {}).get(name, {}),
                }
                for name in models
            ],
            "steps": list(steps or [{"name": f"run-{name}", "model": name} for name in models]),
            **(spec or {}),
        },
    }
    pipeline = read_pipeline(document)
    access = Access(folder=folder)
    resolved = {one.name: facts(one, access, store) for _, one in described(pipeline)}
    plan = compile_plan(pipeline, resolved)
    uid = hashlib.sha256(b"uid").hexdigest()
    return plan, compile_routing(pipeline, plan, uid, 1), store


def split(*variants: str, weights: Sequence[float] | None = None, **key: object) -> Document:
    """Write a split step; `key` are fields of its hash key."""
    shares = weights or [1] * len(variants)
    chosen = [{"model": v, "weight": w} for v, w in zip(variants, shares, strict=True)]
    return {"name": "price", "split": {"variants": chosen, **({"hashKey": key} if key else {})}}


def shadow(champion: str, *challengers: str, sample: float = 1, **fields: object) -> Document:
    """Write a shadow step."""
    beside = [{"model": name, "sample": sample} for name in challengers]
    return {"name": "watch", "shadow": {"champion": champion, "challengers": beside, **fields}}


def request_plan(tensors: str, *fields: str) -> Plan:
    """Make a plan that only reads: tensors as `x float32[4]; p,q float64`, and hash keys."""
    request = []
    for text in tensors.split(";"):
        names, _, kind = text.strip().partition(" ")
        columns = tuple(names.split(","))
        wanted, _, lengths = kind.rstrip("]").partition("[")
        shape = tuple(-1 if n == "?" else int(n) for n in lengths.split(",") if n)
        stacked = len(columns) > 1
        request.append(
            RequestTensor(
                key=names,
                type=TensorType(wanted),
                shape=(len(columns),) if stacked else shape,
                columns=columns,
                stacked=stacked,
            )
        )
    steps = tuple(
        PlanSplit(
            name=f"by-{name}",
            inputs=(),
            outputs=(),
            variants=("a", "b"),
            hash_key=PlanHashKey(field=name, missing="random"),
            salt="s",
        )
        for name in fields
    )
    return Plan(namespace="n", pipeline="p", models=(), request=tuple(request), steps=steps)
