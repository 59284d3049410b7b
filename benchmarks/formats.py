"""What is measured of the wire formats: the same rows in every form, V2 by records, and gRPC."""

import random
from dataclasses import asdict

from cases import MANY, SOME, Bench, check_scores
from contestants import peer, tiltyard
from dialects import read_scores
from load import grpc as over_grpc
from load import grpc_answer, put_load, warm_up
from servers import Server, serving

CALLERS = 32  # gRPC requests at a time
TURNS = 12  # rounds in turn of V2 and records
FORMATS = {
    "tiltyard": ("records", "v2", "v2-binary", "arrow"),
    "mlserver-no-workers": ("v2",),
    "kserve": ("v2",),
    "pytriton": ("v2", "v2-binary"),
}
GRPC = ("tiltyard", "mlserver-no-workers", "mlserver")
BESIDE = ("records", "v2")


def measure_formats(bench: Bench) -> None:
    """Send a thousand rows (c=8) in every form that a server takes."""
    for number in range(_rounds(bench)):
        for who in random.sample(list(FORMATS), len(FORMATS)):
            with bench.surviving(f"{who} with 1000 rows"):
                _forms_of_one(bench, who, number)


def measure_beside(bench: Bench) -> None:
    """Load one engine with V2 and with records in turn, one row each, so that like meets like."""
    rounds = min(TURNS, 4 * bench.rounds)
    one = {dialect: bench.bodies("fraud", 1, dialect) for dialect in BESIDE}
    with (
        bench.surviving("V2 beside records"),
        serving(tiltyard(bench.manifest("fraud")), one["records"], bench.folder) as running,
    ):
        speaking = {dialect: running.speaking(dialect) for dialect in BESIDE}
        for dialect in BESIDE:
            scores = read_scores(dialect, speaking[dialect].ask(one[dialect]))
            check_scores(bench, "fraud", 1, dialect, scores)
            warm_up(speaking[dialect], one[dialect], MANY)
        for number in range(rounds):
            for dialect in random.sample(BESIDE, len(BESIDE)):
                point = put_load(speaking[dialect], one[dialect], MANY, 1)
                bench.results.add("beside", dialect, number, asdict(point))


def measure_grpc(bench: Bench) -> None:
    """Send one row over gRPC (c=32) to the engine and to MLServer."""
    bodies = bench.bodies("fraud", 1, "grpc")
    for number in range(_rounds(bench)):
        for who in random.sample(GRPC, len(GRPC)):
            server = _server(bench, who, grpc=True)
            http = bench.bodies("fraud", 1, server.dialect)
            with (
                bench.surviving(f"{who} over gRPC"),
                serving(server, http, bench.folder) as running,
            ):
                check_scores(bench, "fraud", 1, who, grpc_answer(running, bodies))
                warm_up(running, bodies, CALLERS, over_grpc)
                point = put_load(running, bodies, CALLERS, bench.seconds, over_grpc)
                bench.results.add("grpc-1", who, number, asdict(point))


def _rounds(bench: Bench) -> int:
    """Take about half as many rounds as elsewhere: what is compared here lies far apart."""
    return bench.rounds // 2 + 1


def _forms_of_one(bench: Bench, who: str, number: int) -> None:
    """Start one server and load it in each of its forms, after a look at the answer."""
    server = _server(bench, who)
    one = bench.bodies("fraud", 1, server.dialect)
    with serving(server, one, bench.folder) as running:
        for dialect in random.sample(FORMATS[who], len(FORMATS[who])):
            label = f"{who} {dialect}"
            with bench.surviving(label):
                speaking = running.speaking(dialect)
                bodies = bench.bodies("fraud", 1000, dialect)
                scores = read_scores(dialect, speaking.ask(bodies))
                check_scores(bench, "fraud", 1000, label, scores)
                warm_up(speaking, bodies, SOME)
                point = put_load(speaking, bodies, SOME, bench.seconds)
                bench.results.add("formats-1000", label, number, asdict(point))


def _server(bench: Bench, who: str, *, grpc: bool = False) -> Server:
    """Describe the engine or a peer, serving the small network."""
    if who == "tiltyard":
        return tiltyard(bench.manifest("fraud"), grpc=grpc)
    return peer(who, bench.folder / "fraud.onnx", bench.folder)
