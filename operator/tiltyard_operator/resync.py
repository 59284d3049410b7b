"""Looks at everything now and then: what no event told of is found, at the latest then."""

import random
import threading
from collections.abc import Callable

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.errors import ClusterError
from tiltyard_operator.kinds import MODEL, PIPELINE
from tiltyard_operator.log import log
from tiltyard_operator.queue import Key, Queue

AFTER_A_FAULT = 10.0
"""Seconds until a list that failed is tried again."""


def names_of(cluster: Cluster, namespaces: tuple[str, ...]) -> list[Key]:
    """Every Pipeline and Model."""
    return [
        Key(kind, *place)
        for kind in (PIPELINE, MODEL)
        for namespace in namespaces or (None,)
        for place in cluster.names(kind, namespace)
    ]


def resync(
    find: Callable[[], list[Key]], queue: Queue, period: float, stop: threading.Event
) -> None:
    """Have every object looked at once in each period, spread over the whole of it."""
    pause = period
    while not stop.wait(pause * random.uniform(0.9, 1)):  # noqa: S311 - jitter
        try:
            keys = find()
        except ClusterError as error:
            log("a resync failed", error=str(error))
            pause = min(AFTER_A_FAULT, period)
            continue
        for key in keys:
            queue.add_in(key, random.uniform(0, 0.9 * period))  # noqa: S311 - spread
        pause = period
