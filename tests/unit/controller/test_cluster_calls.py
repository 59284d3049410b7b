"""Whatever a server does, a call ends in time and says what happened in one of three words."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration
from kubernetes.config.incluster_config import InClusterConfigLoader

from operators import cluster_at
from silent import hang, ill_behaved, reset, stressed, trickle
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.errors import Conflict, Refused, Unavailable
from tiltyard_operator.kinds import CONFIG_MAP, PIPELINE, POD_MONITOR, Object

HEAD = {"namespace": "shop", "name": "p", "uid": "1", "resourceVersion": "7"}
OBJ: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": HEAD}

CALLS: dict[str, Callable[[Cluster], Any]] = {
    "get": lambda cluster: cluster.get(CONFIG_MAP, "shop", "p"),
    "list": lambda cluster: cluster.list(CONFIG_MAP, None),
    "apply": lambda cluster: cluster.apply(OBJ),
    "create": lambda cluster: cluster.create(OBJ),
    "delete": lambda cluster: cluster.delete(OBJ),
    "status": lambda cluster: cluster.write_status(CONFIG_MAP, OBJ, {}),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def said(code: int, reason: str, message: str = "told") -> tuple[int, dict[str, str], bytes]:
    status = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return code, {}, json.dumps(status).encode()


@each_call
@pytest.mark.parametrize("behave", [hang, trickle, reset], ids=lambda one: one.__name__)
def test_a_call_ends_in_time(
    call: Callable[[Cluster], object], behave: Callable[..., None]
) -> None:
    with ill_behaved(behave) as url:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            call(cluster_at(url))
        assert time.monotonic() - started < 15


@each_call
def test_nobody_there_is_unavailable(call: Callable[[Cluster], object]) -> None:
    with pytest.raises(Unavailable, match="refused"):
        call(cluster_at("http://127.0.0.1:1"))


@each_call
@pytest.mark.parametrize(
    "answer",
    [
        said(500, "InternalError"),
        said(503, "ServiceUnavailable"),
        said(504, "Timeout"),
        said(429, "TooManyRequests"),
        said(401, "Unauthorized"),
        (200, {}, b"<html>a proxy's page</html>"),
        (404, {}, b"<html>a proxy's page</html>"),
        (200, {}, b"[]"),
        (200, {"Content-Length": "100"}, b'{"kind": "Conf'),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[2][:20]!r}",
)
def test_what_says_nothing_of_the_object_is_unavailable(
    call: Callable[[Cluster], object], answer: tuple[int, dict[str, str], bytes]
) -> None:
    with stressed(answer) as server, pytest.raises(Unavailable):
        call(cluster_at(server.url))


@each_call
@pytest.mark.parametrize(
    ("code", "reason"),
    [(400, "BadRequest"), (403, "Forbidden"), (413, "TooLarge"), (422, "Invalid")],
)
def test_what_the_server_does_not_take_is_refused_in_its_words(
    call: Callable[[Cluster], object], code: int, reason: str
) -> None:
    message = "exceeded quota: small"
    with stressed(said(code, reason, message)) as server, pytest.raises(Refused) as told:
        call(cluster_at(server.url))
    assert (told.value.code, told.value.reason, told.value.message) == (code, reason, message)
    assert len(server.asked) == 1


@pytest.mark.parametrize("call", ["apply", "create", "delete", "status"])
def test_a_write_is_sent_once(call: str) -> None:
    with stressed(said(503, "ServiceUnavailable")) as server, pytest.raises(Unavailable):
        CALLS[call](cluster_at(server.url))
    assert len(server.asked) == 1


@pytest.mark.parametrize("call", ["apply", "create", "delete", "status"])
def test_a_conflict_is_a_conflict(call: str) -> None:
    with stressed(said(409, "Conflict")) as server, pytest.raises(Conflict):
        CALLS[call](cluster_at(server.url))


def test_a_read_is_tried_again() -> None:
    found = (200, {}, json.dumps(OBJ).encode())
    with stressed(said(503, "ServiceUnavailable"), said(500, "InternalError"), found) as server:
        assert cluster_at(server.url).get(CONFIG_MAP, "shop", "p") == OBJ


@pytest.mark.parametrize(
    ("header", "seconds"), [("1", 1), ("30", 30), ("86400", 120), ("soon", None), ("-1", None)]
)
def test_the_server_says_how_long_to_stay_away(header: str, seconds: float | None) -> None:
    status, _, body = said(429, "TooManyRequests")
    answer = (status, {"Retry-After": header}, body)
    with stressed(answer) as server, pytest.raises(Unavailable) as told:
        cluster_at(server.url).apply(OBJ)
    assert told.value.retry_after == seconds


def test_what_is_gone_is_none_deleted_and_a_conflict_for_its_status() -> None:
    with stressed(said(404, "NotFound")) as server:
        cluster = cluster_at(server.url)
        assert cluster.get(CONFIG_MAP, "shop", "p") is None
        cluster.delete(OBJ)
        with pytest.raises(Conflict):
            cluster.write_status(PIPELINE, OBJ, {})
        with pytest.raises(Refused):
            cluster.list(PIPELINE, None)


def test_a_group_that_the_cluster_lacks_is_not_served() -> None:
    with stressed((404, {}, b"404 page not found\n")) as server:
        cluster = cluster_at(server.url)
        assert not cluster.serves(POD_MONITOR)
        assert not cluster.serves(POD_MONITOR)
    assert len(server.asked) == 1


@pytest.mark.parametrize("call", ["apply", "create", "delete", "status"])
def test_nothing_is_written_without_the_lease(call: str) -> None:
    with stressed(said(500, "InternalError")) as server:
        with pytest.raises(Unavailable, match="Lease"):
            CALLS[call](cluster_at(server.url, may_write=lambda: False))
        cluster_at(server.url, may_write=lambda: False).event(OBJ, "Normal", "Ready", "")
    assert server.asked == []


def test_a_lost_event_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with stressed(said(403, "Forbidden")) as server:
        cluster_at(server.url).event(OBJ, "Normal", "Ready", "it serves")
    assert "an event was lost" in capsys.readouterr().err


def test_a_token_that_is_replaced_is_used_from_then_on(tmp_path: Path) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("old")
    ca.write_text("a certificate")
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    loader = InClusterConfigLoader(str(token), str(ca), environ=environment)
    found = Configuration()
    loader.load_and_set(found)
    with stressed(said(404, "NotFound")) as server:
        loader.host, loader.ssl_ca_cert = server.url, None
        found.host = server.url
        cluster = Cluster(found, lambda: True)
        cluster.get(CONFIG_MAP, "shop", "p")
        cluster._token = None  # as after ten seconds
        token.write_text("new")
        loader.token_expires_at -= loader._token_refresh_period
        cluster.get(CONFIG_MAP, "shop", "p")
    assert [authorization for _, authorization in server.asked] == ["bearer old", "bearer new"]
