"""Programs of the control plane: `make cluster-programs`."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.binaries import MODULES, WITH_NODE, Binaries, MissingError, Module, find, provide
from cluster.node import images
from cluster.node.commands import CommandError
from cluster.node.node import running_node
from cluster.node.place import obstacle
from cluster.plane import NotReadyError, running
from cluster.shared import keep
from images.build import BuildError


def programs(modules: Sequence[Module] = MODULES) -> Binaries:
    """Build what is missing and say what there is."""
    binaries = provide(lambda line: print(line, flush=True), modules)
    print(f"Kubernetes {binaries.version}: {binaries.origin}", flush=True)
    return binaries


def by_hand(work: Callable[[], int]) -> int:
    """Run a command for a person: Ctrl-C and SIGTERM end it, what is missing is one line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return work()
    except KeyboardInterrupt:
        return 0
    except (MissingError, NotReadyError, BuildError, CommandError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def prepare_node() -> None:
    """Build all that a node runs.

    Raises:
        MissingError: it cannot run here.

    """
    why = obstacle()
    if why:
        raise MissingError(why)
    programs(WITH_NODE)
    images.prepare()


def main() -> int:
    """Run one of the commands."""
    match sys.argv[1:]:
        case ["programs"]:
            programs()
        case ["keep", directory]:
            keep(Path(directory), find(), running)
        case ["node-programs"]:
            prepare_node()
        case ["keep-node", directory]:
            keep(Path(directory), find(WITH_NODE), running_node)
        case _:
            print("usage: python -m cluster programs|node-programs", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(by_hand(main))
