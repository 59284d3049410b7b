"""An operator with the simplest story there is: one ConfigMap for each Pipeline.

Everything else of it is the real one's: tests see what watches, queue, Lease and client do without
waiting for what a real Pipeline takes.
"""

import sys

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.desired.metadata import INSTANCE, MANAGED_BY
from tiltyard_operator.kinds import CONFIG_MAP, MODEL, PIPELINE, Object
from tiltyard_operator.log import log, take_over
from tiltyard_operator.process import Operator
from tiltyard_operator.queue import Key
from tiltyard_operator.settings import from_environment


def child_of(pipeline: Object) -> Object:
    """ConfigMap that a Pipeline shall have."""
    head = pipeline["metadata"]
    owner = {name: pipeline[name] for name in ("apiVersion", "kind")}
    owner |= {"name": head["name"], "uid": head["uid"], "controller": True}
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": f"{head['name']}-routing",
            "namespace": head["namespace"],
            "labels": {**MANAGED_BY, INSTANCE: head["name"]},
            "ownerReferences": [owner],
        },
        "data": {"suspend": str(pipeline["spec"].get("suspend"))},
    }


def reconcile(cluster: Cluster, key: Key) -> None:
    """Make the ConfigMap so where it is not, and say of which generation it is."""
    pipeline = cluster.get(PIPELINE, key.namespace, key.name)
    log("looked", found=pipeline is not None)
    if pipeline is None or "deletionTimestamp" in pipeline["metadata"]:
        return
    wanted = child_of(pipeline)
    live = cluster.get(CONFIG_MAP, key.namespace, wanted["metadata"]["name"]) or {}
    head, meant = live.get("metadata") or {}, wanted["metadata"]
    same = live.get("data") == wanted["data"] and head.get("labels") == meant["labels"]
    if not same or [one["uid"] for one in head.get("ownerReferences") or ()] != [
        one["uid"] for one in meant["ownerReferences"]
    ]:
        cluster.apply(wanted)
    generation = pipeline["metadata"]["generation"]
    if (pipeline.get("status") or {}).get("observedGeneration") != generation:
        cluster.write_status(PIPELINE, pipeline, {"observedGeneration": generation})


def main() -> int:
    """Run until a signal comes."""
    take_over()
    operator = Operator(
        from_environment(),
        lambda cluster, _, __: {
            PIPELINE: lambda key: reconcile(cluster, key),
            MODEL: lambda key: log("looked", model=key.name),
        },
    )
    return operator.run()


if __name__ == "__main__":
    sys.exit(main())
