"""The node that stands in for a kubelet: what it says of pods is what happened to processes."""

from pathlib import Path
from typing import Any

import pytest
import urllib3

from kubectl import Kubectl
from localnode.node import LocalNode
from waiting import await_that

Object = dict[str, Any]

SERVER = "python -m http.server --bind $(POD_IP) --directory /srv 8080"
ADDRESS = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
READY = {"httpGet": {"path": "/page", "port": "web"}, "periodSeconds": 1, "failureThreshold": 1}

pytestmark = pytest.mark.usefixtures("local_node")


def web(**changes: Any) -> Object:
    """A container that serves the page of the ConfigMap `content`."""
    container = {
        "name": "web",
        "image": "web:1",
        "command": SERVER.split(),
        "env": [ADDRESS],
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": READY,
        "volumeMounts": [{"name": "content", "mountPath": "/srv"}],
    }
    return container | changes


def script(text: str, **changes: Any) -> Object:
    """A container that runs lines of Python."""
    return {"name": "script", "image": "script:1", "command": ["python", "-c", text]} | changes


def pod(*containers: Object, init: tuple[Object, ...] = (), policy: str = "Always") -> Object:
    """A pod, named `one`, that ends quickly."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "labels": {"app": "one"}},
        "spec": {
            "containers": list(containers),
            "initContainers": list(init),
            "restartPolicy": policy,
            "terminationGracePeriodSeconds": 5,
            "volumes": [{"name": "content", "configMap": {"name": "content"}}],
        },
    }


def deployment(one: Object, replicas: int = 2) -> Object:
    """A Deployment of such pods, which never serves with less than it has."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "one"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": "one"}}, "spec": one["spec"]},
        },
    }


def content(text: str, name: str = "content") -> Object:
    """What the server serves."""
    about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return about | {"data": {"page": text}}


def status_of(kubectl: Kubectl, name: str = "one") -> Object:
    """Status of the first container of a pod."""
    status = kubectl.get("pod", name)["status"]
    return dict(status.get("containerStatuses", [{}])[0], phase=status["phase"])


def waiting_for(kubectl: Kubectl) -> str:
    """Why the first container of the pod does not run."""
    return str(status_of(kubectl).get("state", {}).get("waiting", {}).get("reason"))


def test_a_deployment_serves_from_addresses_of_its_own_and_rolls(kubectl: Kubectl) -> None:
    kubectl.apply(content("hello"), deployment(pod(web())))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    pods = kubectl.get("pods")["items"]
    addresses = {one["status"]["podIP"] for one in pods}
    assert len(addresses) == 2
    for address in addresses:
        assert urllib3.request("GET", f"http://{address}:8080/page").data == b"hello"
    rolled = deployment(pod(web(env=[ADDRESS, {"name": "ROLLED", "value": "yes"}])))
    kubectl.apply(rolled)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    names = {one["metadata"]["name"] for one in pods}
    for name in names:
        kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=120s")
    assert len(kubectl.get("pods")["items"]) == 2


def test_a_pod_waits_for_what_it_mounts(kubectl: Kubectl) -> None:
    kubectl.apply(pod(web()))
    await_that(lambda: "not found" in str(status_of(kubectl).get("state")))
    assert waiting_for(kubectl) == "ContainerCreating"
    kubectl.apply(content("late"))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")


def test_readiness_follows_the_probe(kubectl: Kubectl, local_node: LocalNode) -> None:
    kubectl.apply(content("hello"), pod(web()))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    local_node.freeze("one")
    kubectl("wait", "--for=condition=Ready=False", "pod/one", "--timeout=120s")
    assert status_of(kubectl)["restartCount"] == 0
    local_node.thaw("one")
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")


def test_a_killed_container_is_started_again(kubectl: Kubectl, local_node: LocalNode) -> None:
    kubectl.apply(content("hello"), pod(web()))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    local_node.crash("one")
    await_that(lambda: status_of(kubectl)["restartCount"] == 1)
    assert status_of(kubectl)["lastState"]["terminated"]["exitCode"] == 137
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")


def test_init_containers_run_first_and_share_volumes(kubectl: Kubectl) -> None:
    fetch = script("open('/data/page', 'w').write('fetched')", name="fetch")
    fetch["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    serving = web(volumeMounts=[{"name": "data", "mountPath": "/srv"}])
    one = pod(serving, init=(fetch,))
    one["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    kubectl.apply(one)
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    status = kubectl.get("pod", "one")["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    page = urllib3.request("GET", f"http://{status['podIP']}:8080/page")
    assert page.data == b"fetched"


def test_a_claim_is_the_folder_of_its_volume(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("kept")
    size: Object = {"storage": "1Mi"}
    shared: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": kubectl.namespace},
        "spec": shared | {"capacity": size, "hostPath": {"path": str(tmp_path)}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": shared | {"volumeName": kubectl.namespace, "resources": {"requests": size}},
    }
    one = pod(web())
    one["spec"]["volumes"] = [{"name": "content", "persistentVolumeClaim": {"claimName": "kept"}}]
    kubectl.apply(volume, claim, one)
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    address = kubectl.get("pod", "one")["status"]["podIP"]
    assert urllib3.request("GET", f"http://{address}:8080/page").data == b"kept"
    kubectl("delete", "pv", kubectl.namespace, "--wait=false")


def test_a_job_reports_its_message_and_its_exit_code(kubectl: Kubectl) -> None:
    report = "import sys; open('/dev/termination-log', 'w').write('{\"found\": 3}')"
    one = pod(script(report), policy="Never")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "resolve"},
        "spec": {"template": {"spec": one["spec"]}, "backoffLimit": 0},
    }
    kubectl.apply(content("hello"), job)
    kubectl("wait", "--for=condition=Complete", "job/resolve", "--timeout=120s")
    (done,) = kubectl.get("pods", "--selector=job-name=resolve")["items"]
    ended = done["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (0, '{"found": 3}')
    assert done["status"]["phase"] == "Succeeded"


def test_a_job_that_fails_says_so_with_its_last_words(kubectl: Kubectl) -> None:
    failing = script("import sys; sys.exit('no such bucket')")
    one = pod(failing | {"terminationMessagePolicy": "FallbackToLogsOnError"}, policy="Never")
    kubectl.apply(content("hello"), one)
    kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/one", "--timeout=120s")
    ended = status_of(kubectl)["state"]["terminated"]
    assert (ended["exitCode"], ended["message"].strip()) == (1, "no such bucket")


def test_deletion_asks_first_and_kills_after_the_grace(kubectl: Kubectl, tmp_path: Path) -> None:
    note = tmp_path / "asked"
    deaf = (
        "import signal, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: open({str(note)!r}, 'w').close())\n"
        "while True: time.sleep(1)"
    )
    one = pod(script(deaf))
    one["spec"]["terminationGracePeriodSeconds"] = 2
    kubectl.apply(content("hello"), one)
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    kubectl("delete", "pod", "one", "--wait=false")
    await_that(note.exists, 10)
    assert "deletionTimestamp" in kubectl.get("pod", "one")["metadata"]
    kubectl("wait", "--for=delete", "pod/one", "--timeout=10s")


def test_images_that_cannot_be_pulled(kubectl: Kubectl, local_node: LocalNode) -> None:
    local_node.refused_images.add("web:1")
    kubectl.apply(content("hello"), pod(web()))
    await_that(lambda: waiting_for(kubectl) == "ImagePullBackOff")
    local_node.refused_images.clear()
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")


def test_nodes_that_take_no_more_pods(kubectl: Kubectl, local_node: LocalNode) -> None:
    local_node.cordon()
    kubectl.apply(content("hello"), pod(web()))
    unschedulable = "--for=jsonpath={.status.conditions[0].reason}=Unschedulable"
    kubectl("wait", unschedulable, "pod/one", "--timeout=120s")
    local_node.uncordon()
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")


def test_a_pod_may_speak_to_the_api_server_as_its_account(kubectl: Kubectl) -> None:
    asking = (
        "import os, ssl, urllib.request as u\n"
        "home = '/var/run/secrets/kubernetes.io/serviceaccount'\n"
        "host, port = (os.environ['KUBERNETES_SERVICE_' + x] for x in ('HOST', 'PORT'))\n"
        "trust = ssl.create_default_context(cafile=f'{home}/ca.crt')\n"
        "asked = u.Request(f'https://{host}:{port}/apis/authentication.k8s.io/v1/selfsubjectreviews',\n"
        ' b\'{"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}\',\n'
        " {'Authorization': 'Bearer ' + open(f'{home}/token').read(),"
        " 'Content-Type': 'application/json'})\n"
        "print(u.urlopen(asked, context=trust).read().decode(),"
        " file=open('/dev/termination-log', 'w'))"
    )
    kubectl.apply(content("hello"), pod(script(asking), policy="Never"))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/one", "--timeout=120s")
    said = status_of(kubectl)["state"]["terminated"]["message"]
    assert f"system:serviceaccount:{kubectl.namespace}:default" in said


def test_a_namespace_with_pods_can_be_deleted(kubectl: Kubectl) -> None:
    kubectl.apply(content("hello"), deployment(pod(web())))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    kubectl("delete", "namespace", kubectl.namespace, "--timeout=120s")
