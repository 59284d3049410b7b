"""Fault experiments: a Pipeline, what it comes to, and what it should have come to."""

import difflib
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bikes import NAME, bikes, file_of, writes
from cluster.plane import ControlPlane
from ground import Ground, ground
from snapshots import snapshot

Object = dict[str, Any]
Snapshot = dict[str, str]

LANES = 4


def simple(weights: tuple[float, float] = (2, 1), cpus: float = 0.5, replicas: int = 1) -> Object:
    """Give a Pipeline; both of its models are the same file, so that one trial does."""
    document = bikes(weights, cpus=cpus, replicas=replicas)
    for model in document["spec"]["models"]:
        model["source"]["uri"] = file_of("gb")
    return document


FIRST = simple()
SECOND = simple(weights=(1, 3), cpus=0.6)
"""Another routing table, and other pods."""


@dataclass(frozen=True)
class Run:
    """What was written on the way, and what it came to."""

    writes: tuple[str, ...]
    result: Snapshot


def reach(lane: Ground, document: Object) -> Run:
    """Apply a Pipeline and let it come to rest."""
    lane.kubectl.apply(document)
    return rest(lane)


def rest(lane: Ground) -> Run:
    """Let the Pipeline come to rest."""
    lane.settle(NAME)
    seen = tuple(str(write) for write in lane.proxy.writes)
    return Run(seen, snapshot(lane.kubectl, NAME))


def assert_same(expected: Snapshot, found: Snapshot) -> None:
    """Insist that two Pipelines came to the same, and say where they did not."""
    lines: list[str] = []
    for key in sorted(expected.keys() | found.keys()):
        before, after = (side.get(key, "").splitlines() for side in (expected, found))
        name = f"{key} as it should be"
        lines += difflib.unified_diff(before, after, name, key, lineterm="", n=2)
    assert not lines, "\n".join(lines)


def assert_nothing_of_others_was_written(lane: Ground) -> None:
    """Insist that every write of the operator, as the API server saw it, was to what is its own."""
    written = writes(lane.audit_log, lane.kubectl.namespace)
    assert written
    assert [one for one in written if not one.partition("/")[2].startswith(NAME)] == []


@contextmanager
def open_lanes(
    plane: ControlPlane, folder: Callable[[str], Path], **settings: str
) -> Iterator[list[Ground]]:
    """Give some grounds, to run experiments on at the same time."""
    with ExitStack() as stack:
        names = [f"lane-{number}-{secrets.token_hex(3)}" for number in range(LANES)]
        yield [
            stack.enter_context(ground(plane, name, folder(name) / "ground", **settings))
            for name in names
        ]
