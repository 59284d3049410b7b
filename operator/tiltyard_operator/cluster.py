"""The Kubernetes API. The only module that talks to it, apart from kopf's watches.

Paths come from `kinds.py` and objects are plain dictionaries, so that nothing is discovered and
nothing is validated twice. The `kubernetes` package carries the requests: it knows service
accounts, kubeconfigs, certificates and tokens that change.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException

from tiltyard_operator.answers import JSON, Answer, Call, judge, read_all
from tiltyard_operator.desired.metadata import MANAGER
from tiltyard_operator.errors import ClusterError, Conflict, NoCluster, Refused, Unavailable
from tiltyard_operator.kinds import EVENT, Kind, Object, kind_of, version_of
from tiltyard_operator.log import log
from tiltyard_operator.metrics import WRITES

APPLY = "application/apply-patch+yaml"  # JSON is YAML too
NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

LONGEST_ANSWER = 1 << 28
"""Bytes: a list of 20,000 large Pipelines."""

TOKEN_KEPT = 10.0
"""Seconds that a token is used without looking for a newer one."""

KNOWN_FOR = 60.0
"""Seconds that we remember whether the cluster has a kind."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds that a call may take."""

    connect: float = 3.0
    silence: float = 10.0
    """Without a byte from the server."""

    total: float = 20.0
    """All attempts together, and an answer that trickles."""

    pauses: tuple[float, ...] = (0.2, 0.8)
    """Between the attempts of a read. A write is never sent twice: its first sending may have
    worked, and only the next reconcile, which reads first, can tell."""


def find_configuration() -> Configuration:
    """Where the API server is and who we are: the pod's service account, else the kubeconfig.

    Raises:
        NoCluster: there is neither, or it cannot be used.

    """
    found = Configuration()
    try:
        config.load_incluster_config(client_configuration=found)
    except ConfigException:
        try:
            config.load_kube_config(client_configuration=found)
        except ConfigException as error:
            raise NoCluster(f"no service account of a pod, and no kubeconfig: {error}") from error
    return found


class Listing(NamedTuple):
    """Objects, and the version of the cluster as of which they are all there are."""

    items: list[Object]
    version: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """What another client needs to ask the same API server as the same user."""

    server: str
    ca: str | None
    verify: bool
    scheme: str | None
    token: str | None
    certificate: str | None
    key: str | None


def credentials(configuration: Configuration) -> Credentials:
    """Credentials as they are now: a pod's token is replaced while it runs."""
    scheme, _, token = (configuration.get_api_key_with_prefix("BearerToken") or "").partition(" ")
    return Credentials(
        server=configuration.host,
        ca=configuration.ssl_ca_cert,
        verify=configuration.verify_ssl,
        scheme=scheme.capitalize() or None,
        token=token or None,
        certificate=configuration.cert_file,
        key=configuration.key_file,
    )


class Cluster:
    """The API server, for many threads at once.

    Args:
        configuration: where it is and who we are.
        may_write: asked right before each write; no: the write is not sent.
        bounds: how long a call may take.
        connections: most that are kept open; best one for each thread.

    """

    def __init__(
        self,
        configuration: Configuration,
        may_write: Callable[[], bool],
        bounds: Bounds = Bounds(),
        connections: int = 16,
    ) -> None:
        configuration.retries = False  # urllib3 would send reads four times, each with its timeout
        configuration.connection_pool_maxsize = connections
        self._client = ApiClient(configuration)
        self._client.user_agent = MANAGER
        self._may_write = may_write
        self._bounds = bounds
        self._token: tuple[float, str | None] | None = None
        self._served: dict[Kind, tuple[float, bool]] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Read an object as it is now; None where there is none."""
        try:
            return self._read(kind.path(namespace, name))
        except Refused as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: Kind, namespace: str | None, labels: str = "", since: int = 0) -> Listing:
        """Read the objects of a namespace, or of all, that have certain labels.

        Args:
            kind: of the objects.
            namespace: None: all of them.
            labels: selector.
            since: a version that the answer must contain; what was written later may be missing.
                0: nothing may. That is dear: while anything at all is written to the cluster, the
                server waits up to 0.1 s to be sure of it.

        """
        query = {"labelSelector": labels} if labels else {}
        if since:
            query |= {"resourceVersion": str(since), "resourceVersionMatch": "NotOlderThan"}
        found = self._read(kind.path(namespace), query)
        named = {"apiVersion": kind.api_version, "kind": kind.kind}  # entries of a list lack both
        return Listing([named | one for one in found.get("items") or ()], version_of(found))

    def names(self, kind: Kind, namespace: str | None) -> Sequence[tuple[str, str]]:
        """Namespace and name of every object; their contents stay with the server."""
        found = self._read(kind.path(namespace), accept=NAMES_ONLY)
        heads = [one["metadata"] for one in found.get("items") or ()]
        return [(head["namespace"], head["name"]) for head in heads]

    def serves(self, kind: Kind) -> bool:
        """Whether this cluster has the kind, as of at most a minute ago."""
        since, known = self._served.get(kind, (-KNOWN_FOR, False))
        if time.monotonic() - since < KNOWN_FOR:
            return known
        try:
            resources = self._read(kind.root).get("resources") or ()
        except Refused as error:
            if error.code != 404:
                raise
            resources = ()
        known = any(one["name"] == kind.plural for one in resources)
        self._served[kind] = (time.monotonic(), known)
        return known

    def ask_pod(self, namespace: str, pod: str, port: int, path: str) -> Object:
        """Ask a pod over HTTP, by way of the API server."""
        return self._read(f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{path}")

    def apply(self, obj: Object) -> Object:
        """Make every field of the object so, whoever else claims it; other fields stay.

        An object with a resourceVersion is applied to that version only.
        """
        head = obj["metadata"]
        path = kind_of(obj).path(head["namespace"], head["name"])
        query = {"fieldManager": MANAGER, "force": "true"}
        body = json.dumps(obj).encode()
        return self._write(Call("PATCH", path, query, body, APPLY), kind_of(obj).kind, "apply")

    def create(self, obj: Object) -> Object:
        """Create what must not be there yet; a `Conflict` where it is."""
        path = kind_of(obj).path(obj["metadata"]["namespace"])
        call = Call("POST", path, {"fieldManager": MANAGER}, obj)
        return self._write(call, kind_of(obj).kind, "create")

    def replace(self, obj: Object) -> Object:
        """Write a whole object over the version that was read; a `Conflict` where it changed."""
        head = obj["metadata"]
        path = kind_of(obj).path(head["namespace"], head["name"])
        call = Call("PUT", path, {"fieldManager": MANAGER}, obj)
        return self._write(call, kind_of(obj).kind, "replace")

    def delete(self, obj: Object) -> None:
        """Delete this very object, not one of its name; gone already is as good."""
        head = obj["metadata"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": head["uid"]},
            "propagationPolicy": "Background",
        }
        path = kind_of(obj).path(head["namespace"], head["name"])
        try:
            self._write(Call("DELETE", path, {}, options), kind_of(obj).kind, "delete")
        except Refused as error:
            if error.code != 404:
                raise

    def write_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        """Write the whole status of the version that was read; a `Conflict` where it changed."""
        head = obj["metadata"]
        body = obj | {"status": status}
        path = kind.path(head["namespace"], head["name"], "status")
        try:
            return self._write(
                Call("PUT", path, {"fieldManager": MANAGER}, body), kind.kind, "status"
            )
        except Refused as error:
            if error.code != 404:
                raise
            raise Conflict(str(error)) from error  # deleted since it was read

    def event(self, about: Object, type_: str, reason: str, message: str) -> None:
        """Tell people that something changed. A loss is logged and does no harm."""
        head = about["metadata"]
        now = datetime.now(UTC)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {
                "namespace": head["namespace"],
                "name": f"{head['name']}.{time.time_ns():x}",
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": head["namespace"],
                "name": head["name"],
                "uid": head["uid"],
            },
            "type": type_,
            "reason": reason,
            "message": message[:1024],  # the most that the API server takes
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
        }
        try:
            self.create(body)
        except ClusterError as error:
            log("an event was lost", reason=reason, error=str(error))

    def _read(
        self, path: str, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> Object:
        call = Call("GET", path, query or {}, accept=accept)
        deadline = time.monotonic() + self._bounds.total
        for pause in self._bounds.pauses:
            try:
                return judge(call, self._send(call, deadline))
            except Unavailable as error:
                wait = max(error.retry_after or 0, pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                if time.monotonic() + wait > deadline - self._bounds.connect or wait > 2:
                    raise
                time.sleep(wait)
        return judge(call, self._send(call, deadline))

    def _write(self, call: Call, kind: str, verb: str) -> Object:
        if not self._may_write():
            raise Unavailable(f"{call} was not sent: this operator does not hold the Lease")
        WRITES.labels(kind, verb).inc()
        return judge(call, self._send(call, time.monotonic() + self._bounds.total))

    def _send(self, call: Call, deadline: float) -> Answer:
        headers = {**self._client.default_headers, "Accept": call.accept}
        if call.body is not None:
            headers["Content-Type"] = call.content
        try:
            client = self._client
            headers |= self._authorization()
            url = f"{client.configuration.host}{call.path}?{urlencode(call.query)}"
            bounds = (self._bounds.connect, self._bounds.silence)
            raw = client.call_api(call.method, url, headers, call.body, None, bounds).response
            body = read_all(raw, deadline, LONGEST_ANSWER)
        except (urllib3.exceptions.HTTPError, ApiException, ConfigException, OSError) as error:
            raise Unavailable(f"{call}: {type(error).__name__}: {error}") from error
        if raw.status == 401:
            self._token = None
        return Answer(raw.status, body, raw.headers.get("Retry-After"))

    def _authorization(self) -> dict[str, str]:
        """Token in force. The client reads its whole configuration anew to find it."""
        known = self._token
        if known is None or time.monotonic() - known[0] > TOKEN_KEPT:
            found = self._client.configuration.get_api_key_with_prefix("BearerToken")
            self._token = known = (time.monotonic(), found)
        return {"Authorization": known[1]} if known[1] else {}
