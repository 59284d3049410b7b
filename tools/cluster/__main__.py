"""Programs of the control plane: `make cluster-programs`."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cluster.binaries import Binaries, MissingError, provide
from cluster.plane import NotReadyError
from cluster.shared import keep


def programs() -> Binaries:
    """Build what is missing and say what there is."""
    binaries = provide(lambda line: print(line, flush=True))
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
    except (MissingError, NotReadyError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def main() -> int:
    """Run one of the commands."""
    match sys.argv[1:]:
        case ["programs"]:
            programs()
        case ["keep", directory]:
            keep(Path(directory))
        case _:
            print("usage: python -m cluster programs", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(by_hand(main))
