"""A control plane by hand: `make cluster`; its programs: `make cluster-programs`."""

import signal
import sys
import tempfile
from pathlib import Path

from cluster.binaries import Binaries, MissingError, provide
from cluster.crds import install_crds
from cluster.plane import NotReadyError, running
from cluster.shared import keep


def programs() -> Binaries:
    """Build what is missing and say what there is."""
    binaries = provide(lambda line: print(line, flush=True))
    print(f"Kubernetes {binaries.version}: {binaries.origin}", flush=True)
    return binaries


def up() -> None:
    """Run a control plane until Ctrl-C."""
    binaries = programs()
    with (
        tempfile.TemporaryDirectory(prefix="tiltyard-cluster-") as directory,
        running(Path(directory), binaries) as processes,
    ):
        plane = processes.plane
        install_crds(plane)
        print(f"ready after {plane.seconds:.1f} s at {plane.url}; logs are in {plane.directory}")
        print("in another shell:")
        print(f"  export KUBECONFIG={plane.kubeconfig}")
        print(f"  export PATH={plane.kubectl.parent}:$PATH")
        print("  kubectl get pipelines")
        print("Ctrl-C ends it and removes all of it", flush=True)
        signal.pause()


def main() -> int:
    """Run one of the commands."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        match sys.argv[1:]:
            case ["programs"]:
                programs()
            case ["up"]:
                up()
            case ["keep", directory]:
                keep(Path(directory))
            case _:
                print("usage: python -m cluster programs|up", file=sys.stderr)
                return 2
    except KeyboardInterrupt:
        return 0
    except (MissingError, NotReadyError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
