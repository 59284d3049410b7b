"""What is measured over sockets: requests beside peers, the split, the shadow, start and memory."""

import contextlib
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
from bodies import COLUMNS, Bodies, body_file, matrix
from contestants import OUTPUTS_ONLY, PEER_NAMES, peer, tiltyard
from dialects import JSON, read_scores
from load import LoadError, put_load, warm_up
from measure import Memory, memory_of, subtree_running
from numpy.typing import ArrayLike
from results import Results
from servers import Server, ServerError, get, serving

MANY, SOME, FEW = 64, 8, 4  # connections: cheap rows, a thousand rows, a heavy model
SPLIT_ROUNDS = 20
SPLITS = ("fraud", "split", "split-by-key")
SHADOWS = {
    "fraud": ("shadow-cheap", MANY),
    "shadow": ("shadow-cheap", MANY),
    "hanging-shadow": ("shadow-cheap", MANY),
    "heavy": ("shadow-heavy", FEW),
    "heavy-shadow": ("shadow-heavy", FEW),
}
EXAMPLE = Path(__file__).parents[1] / "examples" / "bike-demand" / "pipeline.yaml"


@dataclass(frozen=True)
class Bench:
    """What every case needs to know."""

    folder: Path  # holds models, manifests and bodies
    rounds: int
    seconds: int
    results: Results

    def bodies(self, kind: str, rows: int, dialect: str) -> Path:
        """Name the bodies to send."""
        return body_file(self.folder / "bodies", kind, rows, dialect)

    def manifest(self, name: str) -> Path:
        """Name a manifest, beside the models it names."""
        return self.folder / f"{name}.yaml"

    @contextlib.contextmanager
    def surviving(self, what: str) -> Iterator[None]:
        """Let one server that fails spoil its own figures only."""
        try:
            yield
        except (ServerError, LoadError) as problem:
            self.results.fail(f"{what}: {problem}")


def check_scores(bench: Bench, kind: str, rows: int, who: str, scores: ArrayLike) -> None:
    """Refuse to time a server that answers the first body with what the model does not say."""
    first = Bodies.read(bench.bodies(kind, rows, "records")).bodies[0]
    session = onnxruntime.InferenceSession(bench.folder / f"{kind}.onnx")
    wanted = np.ravel(session.run(None, {"x": matrix(COLUMNS[kind], first)})[0])
    got = np.ravel(scores)
    if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=1e-4):
        raise ServerError(f"{who} answered {got}, the model says {wanted}")


def measure_rows(bench: Bench) -> None:
    """Send one row (c=64) and a thousand (c=8) to the engine and to every peer."""
    for number in range(bench.rounds):
        pairs = [(kind, who) for kind in COLUMNS for who in ("tiltyard", *PEER_NAMES)]
        random.shuffle(pairs)
        for kind, who in pairs:
            with bench.surviving(f"{who} with {kind}"):
                _rows_of_one(bench, kind, who, number)


def measure_split(bench: Bench) -> None:
    """Load a single model and two splits in turn, so that each round compares like with like."""
    rounds = min(SPLIT_ROUNDS, 7 * bench.rounds)
    bodies = bench.bodies("fraud", 1, "records")
    with bench.surviving("split"), contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(tiltyard(bench.manifest(name)), bodies, bench.folder))
            for name in SPLITS
        }
        for running in servers.values():
            warm_up(running, bodies, MANY)
        for number in range(rounds):
            for name in random.sample(SPLITS, len(SPLITS)):
                point = put_load(servers[name], bodies, MANY, 1)
                bench.results.add("split", name, number, asdict(point))


def measure_shadow(bench: Bench) -> None:
    """Saturate the core with and without a challenger; each round starts every server anew.

    A challenger works on after the load has ended: a server left running would disturb the next.
    """
    bodies = bench.bodies("fraud", 1, "records")
    for number in range(bench.rounds):
        for name in random.sample(list(SHADOWS), len(SHADOWS)):
            case, connections = SHADOWS[name]
            server = tiltyard(bench.manifest(name))
            with bench.surviving(name), serving(server, bodies, bench.folder) as running:
                warm_up(running, bodies, connections)
                point = put_load(running, bodies, connections, bench.seconds)
                mirrored = {} if name in {"fraud", "heavy"} else _mirrored(server)
                bench.results.add(case, name, number, asdict(point) | mirrored)


def measure_start(bench: Bench) -> None:
    """Time the start to the first good answer, and weigh the tree with one worker and with two."""
    bodies = bench.folder / "example.bodies"
    rows = orjson.loads((EXAMPLE.parent / "held-out.json").read_bytes())
    Bodies(JSON, [orjson.dumps([row]) for row in rows]).write(bodies)
    for number in range(bench.rounds):
        for workers in random.sample((1, 2), 2):
            server = tiltyard(EXAMPLE, name=EXAMPLE.parent.name, workers=workers)
            label = f"tiltyard-{workers}-workers"
            with bench.surviving(label), serving(server, bodies, bench.folder) as running:
                warm_up(running, bodies, SOME)
                figures = {"start_seconds": running.start_seconds}
                engine = memory_of(subtree_running(running.pid, "tiltyard_engine"))
                figures |= _megabytes("tree", memory_of(running.pid))
                figures |= _megabytes("engine", engine)
                bench.results.add("start", label, number, figures)


def _rows_of_one(bench: Bench, kind: str, who: str, number: int) -> None:
    """Start one server for one kind of row, check its answer, and load it."""
    if who == "tiltyard":
        server = tiltyard(bench.manifest(kind))
    else:
        server = peer(who, bench.folder / f"{kind}.onnx", bench.folder)
    one = bench.bodies(kind, 1, server.dialect)
    with serving(server, one, bench.folder) as running:
        check_scores(bench, kind, 1, who, read_scores(server.dialect, running.first_answer))
        warm_up(running, one, SOME)
        point = put_load(running, one, MANY, bench.seconds)
        memory = _megabytes("tree", memory_of(running.pid))
        figures = asdict(point) | memory | {"start_seconds": running.start_seconds}
        bench.results.add(f"{kind}-1", who, number, figures)
        if kind == "fraud":
            thousand = bench.bodies(kind, 1000, server.dialect)
            point = put_load(running, thousand, SOME, bench.seconds)
            bench.results.add(f"{kind}-1000", who, number, asdict(point))
            if who == "tiltyard":
                point = put_load(running.speaking(OUTPUTS_ONLY), thousand, SOME, bench.seconds)
                bench.results.add(f"{kind}-1000", f"{who}-outputs", number, asdict(point))


def _mirrored(server: Server) -> dict[str, float]:
    """Read from the metrics how many requests the challenger was offered and has answered."""
    if server.management_port is None:
        return {}
    metrics = get(server.management_port, "/metrics").decode()
    counted = {}
    for name in ("offered", "run"):
        pattern = rf"^tiltyard_shadow_{name}_total\{{.*\}} (\S+)"
        counted[name] = sum(float(value) for value in re.findall(pattern, metrics, re.MULTILINE))
    return counted


def _megabytes(what: str, memory: Memory) -> dict[str, float]:
    """Name the figures of one reading of memory."""
    return {f"{what}_rss_mb": memory.rss, f"{what}_pss_mb": memory.pss}
