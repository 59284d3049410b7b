"""A whole Tiltyard on one machine, by hand: `make cluster`.

A real control plane, the operator under the rights that we ship, and the stand-in for a kubelet,
which runs the pods of the namespace `default` as processes.
"""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.__main__ import by_hand, programs
from cluster.crds import install_crds
from cluster.plane import ControlPlane, running
from localnode.node import running_node
from operators import Operators

NAMESPACE = "default"


@contextmanager
def laptop(directory: Path) -> Iterator[ControlPlane]:
    """Run all of it until the block ends."""
    with running(directory / "plane", programs()) as processes:
        plane = processes.plane
        install_crds(plane)
        with running_node(plane, NAMESPACE, directory / "node"):
            operators = Operators(plane, NAMESPACE, directory)
            try:
                operators.start().await_work()
                yield plane
            finally:
                operators.stop()


def main() -> int:
    """Run until Ctrl-C."""
    with (
        tempfile.TemporaryDirectory(prefix="tiltyard-cluster-") as directory,
        laptop(Path(directory)) as plane,
    ):
        print(f"a control plane is ready after {plane.seconds:.1f} s; the operator watches")
        print(f"namespace {NAMESPACE}, whose pods run as processes; logs are in {directory}")
        print("in another shell:")
        print(f"  export KUBECONFIG={plane.kubeconfig}")
        print(f"  export PATH={plane.kubectl.parent}:$PATH")
        print("  kubectl get typ,tym")
        print("Ctrl-C ends it and removes all of it", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(by_hand(main))
