"""`python -m tiltyard_operator`."""

import sys
from collections.abc import Mapping

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.errors import NoCluster
from tiltyard_operator.kinds import MODEL, PIPELINE, Kind
from tiltyard_operator.log import log, take_over
from tiltyard_operator.model import ModelReconciler
from tiltyard_operator.probe import Prober
from tiltyard_operator.process import Operator
from tiltyard_operator.reconcile import PipelineReconciler
from tiltyard_operator.settings import BadSettings, from_environment
from tiltyard_operator.view import Memory
from tiltyard_operator.workers import Reconcile


def main() -> int:
    """Run until a signal comes; 2 where it cannot even start."""
    take_over()
    try:
        settings = from_environment()

        def assemble(cluster: Cluster, prober: Prober, memory: Memory) -> Mapping[Kind, Reconcile]:
            return {
                PIPELINE: PipelineReconciler(cluster, prober, memory, settings),
                MODEL: ModelReconciler(cluster, settings),
            }

        operator = Operator(settings, assemble)
    except (BadSettings, NoCluster, OSError) as error:
        for line in str(error).splitlines():
            log("cannot start", error=line)
        return 2
    return operator.run()


if __name__ == "__main__":
    sys.exit(main())
