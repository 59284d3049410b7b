"""What `helm test` runs, on a real kubelet; but for names in DNS, which this node does not have."""

from pathlib import Path

import pytest
import yaml

from cluster.binaries import Binaries
from cluster.node.images import name_of
from helm import Helm, Object, of_kind
from kubectl import Kubectl
from pods import ROLLS_SECONDS
from waiting import await_that

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]


def test_a_real_inference_passes(binaries: Binaries, kubectl: Kubectl, tmp_path: Path) -> None:
    repository, _, tag = name_of("engine").rpartition(":")
    helm = Helm(binaries["helm"], tmp_path, kubectl.namespace)
    image = (f"engine.image.repository={repository}", f"engine.image.tag={tag}")
    hooks = [
        one
        for one in helm.objects("crds.install=false", *image)
        if "helm.sh/hook" in one["metadata"].get("annotations", {})
    ]
    pod = of_kind(hooks, "Pod")
    kubectl.apply(*(one for one in hooks if one is not pod))
    await_that(lambda: not kubectl.run("get", "service/tiltyard-test").returncode, ROLLS_SECONDS)
    address = kubectl.get("service", "tiltyard-test")["spec"]["clusterIP"]
    (container,) = pod["spec"]["containers"]
    name = f"tiltyard-test.{kubectl.namespace}.svc"
    container["args"] = [one.replace(name, address) for one in container["args"]]
    kubectl("apply", "--filename=-", stdin=yaml.safe_dump(pod))

    def ended() -> Object | None:
        status = kubectl.get("pod", "tiltyard-test")["status"]
        return status if status["phase"] in ("Succeeded", "Failed") else None

    await_that(ended, ROLLS_SECONDS)
    assert "answers: twice 21 is 42" in kubectl("logs", "tiltyard-test")
    assert kubectl.get("pod", "tiltyard-test")["status"]["phase"] == "Succeeded"
