"""The program that serves one Pipeline for a Python process, as `tiltyard serve` does.

A line of standard input is the path of a manifest, which is put in force. The answer is a line of
JSON on the descriptor that the argument names. When its input ends, it answers what was accepted
and ends too.
"""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tiltyard.failure import Failure
from tiltyard.local.compiled import compile_all
from tiltyard.local.resolving import Sources, store_folder
from tiltyard.local.serve import records_flags
from tiltyard.local.service import Service, serving
from tiltyard.local.signals import Stopped, held_signals, pause
from tiltyard.local.sockets import open_sockets
from tiltyard.local.watch import put_in_force, served
from tiltyard.manifests import Manifest, read_manifests
from tiltyard_api.names import pipeline_version
from tiltyard_api.recordfiles import DEFAULT_FOLDER

HOST = "127.0.0.1"
LOOK_SECONDS = 0.5
"""How often the engine and its canaries are looked at while nothing is asked."""

LIMITS = {"drain-delay": "0s"}
"""No load balancer has to learn that we end."""


def main() -> None:
    """Serve until standard input ends."""
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers, held_signals():

        def answer(said: dict[str, Any]) -> None:
            answers.write(json.dumps(said) + "\n")
            answers.flush()

        try:
            _serve(_lines(lambda: None), answer)
        except Stopped:
            return
        except Failure as failure:
            answer({"failure": list(failure.lines)})
            sys.exit(1)


def _serve(lines: Iterator[str], answer: Callable[[dict[str, Any]], None]) -> None:
    sources = Sources(store_folder())
    first = next(lines, None)
    if first is None:
        return
    compiled = compile_all(_manifests(first), sources)
    flags = {**LIMITS, **records_flags(Path(DEFAULT_FOLDER))}
    with serving(compiled, open_sockets(HOST, 0, 0, 1), sources.store, flags) as service:
        answer(_serving(service, "served by a new engine"))
        for line in _lines(lambda: _look(service)):
            try:
                done = put_in_force(service, _manifests(line), sources)
                service.settle()
                answer(_serving(service, done))
            except Failure as failure:
                answer({"failure": list(failure.lines)})


def _manifests(file: str) -> list[Manifest]:
    return served(read_manifests([Path(file)]).served())


def _look(service: Service) -> None:
    service.check()
    service.move_ramps()


def _serving(service: Service, done: str) -> dict[str, Any]:
    (one,) = service.compiled
    return {
        "done": done,
        "url": service.url,
        "management": service.management_url,
        "plan": one.plan.hash,
        "version": pipeline_version(one.plan.hash),
        "digests": {model.name: model.digest for model in one.plan.models},
    }


def _lines(meanwhile: Callable[[], None]) -> Iterator[str]:
    """Lines of standard input until its end, looking after what is served while there is none."""
    rest = b""
    while True:
        if select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            piece = os.read(sys.stdin.fileno(), 65536)
            if not piece:
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line.decode() for line in whole)
        pause(0)
        meanwhile()


if __name__ == "__main__":
    main()
