"""Programs of the control plane: `make cluster-programs`."""

import signal
import sys
from pathlib import Path

from cluster.binaries import Binaries, MissingError, provide
from cluster.plane import NotReadyError
from cluster.shared import keep


def programs() -> Binaries:
    """Build what is missing and say what there is."""
    binaries = provide(lambda line: print(line, flush=True))
    print(f"Kubernetes {binaries.version}: {binaries.origin}", flush=True)
    return binaries


def main() -> int:
    """Run one of the commands."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        match sys.argv[1:]:
            case ["programs"]:
                programs()
            case ["keep", directory]:
                keep(Path(directory))
            case _:
                print("usage: python -m cluster programs", file=sys.stderr)
                return 2
    except KeyboardInterrupt:
        return 0
    except (MissingError, NotReadyError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
