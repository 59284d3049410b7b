"""Put load on a gRPC server of the Open Inference Protocol and print what it showed, as JSON.

A process of its own, so that `load.py` can pin it to the core of the load. It sends and takes bare
bytes: a client that packs messages would be the slower side and hide what the server could do.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import grpc
import grpc.aio
import uvloop
from bodies import Bodies
from dialects import read_scores

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CHANNELS = 4
# Channels to one address share a connection unless told otherwise.
APART = [("grpc.use_local_subchannel_pool", 1)]
DEADLINE = 10.0

Invoke = grpc.aio.UnaryUnaryMultiCallable


def ask(target: str, bodies: Path) -> list[float]:
    """Send one request and return the scores in its answer."""
    with grpc.insecure_channel(target) as channel:
        invoke = channel.unary_unary(METHOD)
        answer = invoke(Bodies.read(bodies).bodies[0], timeout=DEADLINE, wait_for_ready=True)
    return [float(score) for score in read_scores("grpc", answer)]


async def load(target: str, bodies: list[bytes], callers: int, seconds: float) -> dict[str, float]:
    """Let so many callers ask, each again as soon as it was answered."""
    channels = [grpc.aio.insecure_channel(target, options=APART) for _ in range(CHANNELS)]
    invokes = [channel.unary_unary(METHOD) for channel in channels]
    turn = cycle(bodies)
    took: list[float] = []
    started = time.perf_counter()
    ends = started + seconds
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(_call_on(invokes[number % CHANNELS], turn, ends, took))
            for number in range(callers)
        ]
    lasted = time.perf_counter() - started
    for channel in channels:
        await channel.close()
    percentiles = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return {
        "requests": len(took),
        "rate": len(took) / lasted,
        "p50_us": percentiles[49] * 1e6,
        "p99_us": percentiles[98] * 1e6,
        "errors": sum(call.result() for call in calls),
    }


async def _call_on(invoke: Invoke, turn: Iterator[bytes], ends: float, took: list[float]) -> int:
    """Ask until the time is over, and return how often that failed."""
    failed = 0
    while (asked := time.perf_counter()) < ends:
        try:
            await invoke(next(turn), timeout=DEADLINE)
        except grpc.aio.AioRpcError:
            failed += 1
        else:
            took.append(time.perf_counter() - asked)
    return failed


def main() -> None:
    """Ask once where no more is wanted; else put load."""
    target, bodies, *how = sys.argv[1:]
    if how:
        callers, seconds = map(int, how)
        found: object = uvloop.run(load(target, Bodies.read(Path(bodies)).bodies, callers, seconds))
    else:
        found = ask(target, Path(bodies))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
