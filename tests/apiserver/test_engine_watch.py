"""An engine follows its ConfigMap on a real API server, with the rights that engines get."""

import os
import signal
from pathlib import Path

import pytest

from bare_engines import HOST, Compiled, Workshop, running
from cluster.api import MERGE, Api, ApiError
from cluster.binaries import Binaries
from cluster.plane import ControlPlane
from cluster.plane import running as plane_running
from pressure import pressure
from tiltyard_api.routing import RoutingTable
from tiltyard_operator.desired.access import role, role_binding, service_account
from tiltyard_operator.desired.metadata import Owner, routing_name
from waiting import eventually
from watched import (
    RECORDS,
    WORKERS,
    all_to,
    clients_of_every_worker,
    config,
    routing,
    two_variants,
    variants,
    wait_for,
    watch_up,
)

PIPELINE = "watched"
NAME = routing_name(PIPELINE)
RIGHTS = "/apis/rbac.authorization.k8s.io/v1/namespaces"


class Routed:
    """A namespace with a routing ConfigMap, and an account that may read it."""

    def __init__(self, api: Api, namespace: str, folder: Path) -> None:
        self._api = api
        self.namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self.token_file = folder / "token"
        owner = Owner("Pipeline", namespace, PIPELINE, "00000000-0000-0000-0000-000000000000")
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        for path, made in (
            (accounts, service_account(owner)),
            (f"{RIGHTS}/{namespace}/roles", role(owner)),
            (f"{RIGHTS}/{namespace}/rolebindings", role_binding(owner, PIPELINE)),
        ):
            del made["metadata"]["ownerReferences"]  # there is no such Pipeline
            api.call("POST", path, made)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = api.call("POST", f"{accounts}/{PIPELINE}/token", request)
        self.token_file.write_text(answer["status"]["token"])

    def create(self, *tables: RoutingTable) -> None:
        self._api.call("POST", self._path, {"metadata": {"name": NAME}, "data": config(*tables)})

    def put(self, *tables: RoutingTable) -> None:
        data = {"data": config(*tables)}
        self._api.call("PATCH", f"{self._path}/{NAME}", data, MERGE)

    def delete(self) -> None:
        self._api.call("DELETE", f"{self._path}/{NAME}")

    def flags(self, plane: ControlPlane) -> list[str]:
        return [
            f"--watch-configmap={self.namespace}/{NAME}",
            f"--api-server={plane.url}",
            f"--api-token={self.token_file}",
            f"--api-ca={plane.ca}",
            "--watch-period=2s",
        ]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    return two_variants(workshop)


def test_fifty_changes_are_each_in_force_on_every_worker(
    control_plane: ControlPlane,
    api: Api,
    namespace: str,
    workshop: Workshop,
    pipeline: Compiled,
) -> None:
    routed = Routed(api, namespace, workshop.folder)
    routed.create(pipeline.table)
    with running(workshop, pipeline, flags=routed.flags(control_plane), workers=WORKERS) as engine:
        processes = engine.children()
        clients = clients_of_every_worker(engine)
        with pressure(f"http://{HOST}:{engine.port}", "/infer", RECORDS) as load:
            for revision in range(2, 52):
                variant = "ab"[revision % 2]
                table = all_to(pipeline, variant, revision)
                routed.put(table)
                eventually(lambda: variants(clients) == {variant})  # noqa: B023 - called at once
                wait_for(engine, table)
        assert load.lost == []
        assert engine.children() == processes
        found = routing(engine)
        assert (found["revision"], found["source"]) == (51, "watch")
        assert engine.log() == ""


def test_an_engine_may_read_its_own_table_and_nothing_else(
    control_plane: ControlPlane, api: Api, namespace: str, workshop: Workshop
) -> None:
    routed = Routed(api, namespace, workshop.folder)
    routed.create()
    engine = Api(control_plane.url, routed.token_file.read_text(), control_plane.ca)
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert engine.get(f"{maps}?fieldSelector=metadata.name%3D{NAME}")
    for path in (maps, f"{maps}/kube-root-ca.crt", maps.replace("configmaps", "secrets")):
        with pytest.raises(ApiError, match="forbidden"):
            engine.get(path)
    with pytest.raises(ApiError, match="forbidden"):
        engine.call("PATCH", f"{maps}/{NAME}", {"data": {}}, MERGE)
    engine.close()


def test_a_configmap_that_goes_and_comes_back_is_followed(
    control_plane: ControlPlane,
    api: Api,
    namespace: str,
    workshop: Workshop,
    pipeline: Compiled,
) -> None:
    routed = Routed(api, namespace, workshop.folder)
    with running(workshop, pipeline, flags=routed.flags(control_plane), workers=WORKERS) as engine:
        clients = clients_of_every_worker(engine)
        eventually(lambda: routing(engine)["checkedAt"])
        assert routing(engine)["source"] == "file"
        routed.create(all_to(pipeline, "b", 2))
        eventually(lambda: variants(clients) == {"b"})
        routed.delete()
        eventually(lambda: engine.log().count("no routing table") == 2)
        assert variants(clients) == {"b"}
        routed.create(all_to(pipeline, "a", 3))
        eventually(lambda: variants(clients) == {"a"})


def test_the_death_of_the_api_server_reaches_no_request(
    binaries: Binaries, workshop: Workshop, pipeline: Compiled, tmp_path: Path
) -> None:
    with plane_running(tmp_path / "plane", binaries) as processes:
        api = processes.plane.api()
        routed = Routed(api, "default", workshop.folder)
        routed.create(pipeline.table)
        flags = routed.flags(processes.plane)
        with running(workshop, pipeline, flags=flags, workers=WORKERS) as engine:
            eventually(lambda: watch_up(engine) == 1)
            with pressure(f"http://{HOST}:{engine.port}", "/infer", RECORDS) as load:
                processes.stop_part("kube-apiserver")
                eventually(lambda: watch_up(engine) == 0)
                assert engine.ask("/readyz")[0] == 200
                processes.start_part("kube-apiserver")
                second = all_to(pipeline, "b", 2)
                routed.put(second)
                wait_for(engine, second)
            assert load.lost == []
            processes.stop_part("kube-apiserver")
            eventually(lambda: watch_up(engine) == 0)
            os.kill(engine.workers()[0], signal.SIGKILL)
            eventually(lambda: "started again" in engine.log())
            eventually(lambda: engine.ask("/readyz")[0] == 200)
            assert variants(clients_of_every_worker(engine)) == {"b"}
            assert routing(engine)["hash"] == second.hash
        api.close()
