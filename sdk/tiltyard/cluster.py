"""A cluster, as the kubeconfig names it. The only module here that knows the kubernetes package."""

import json
import os
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode

import urllib3
from pydantic import ValidationError

from tiltyard.failure import EntityNotFoundError, Failure, NoClusterError
from tiltyard.transport import Transport
from tiltyard_api.names import API_VERSION
from tiltyard_api.v1alpha1.status import PipelineStatus

try:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
except ModuleNotFoundError as error:
    raise NoClusterError(
        f"{error.name}, which talks to clusters, is missing: pip install 'tiltyard[sdk,cluster]'"
    ) from error

Object = dict[str, Any]
"""An object as the API server sends it."""

PIPELINES = "pipelines"
MODELS = "models"
KINDS = {PIPELINES: "Pipeline", MODELS: "Model"}

MANAGER = "tiltyard"
"""Who we are in the managed fields of an object."""

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""JSON is YAML too."""

BOUNDS = (5.0, 20.0)
"""Seconds to connect, and without a byte."""

CONNECTIONS = 16
"""Kept open, for threads that ask an engine through the API server."""


class Cluster:
    """Pipelines and Models of one namespace.

    Args:
        namespace: where they are; None: the kubeconfig's own, else `default`.
        kubeconfig: the file; None: the one that kubectl takes.

    Raises:
        Failure: there is no kubeconfig, or it cannot be used.

    """

    def __init__(self, namespace: str | None, kubeconfig: str | None = None) -> None:
        configuration = Configuration()
        kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")  # as it is now, not at import
        try:
            config.load_kube_config(kubeconfig, client_configuration=configuration)
            _, context = config.list_kube_config_contexts(kubeconfig)
        except Exception as error:  # its loader trips over bad files in many ways
            said = " ".join(str(error).split()).rstrip(".")
            raise NoClusterError(
                f"the kubeconfig cannot be used: {said}: is KUBECONFIG right, does kubectl work?"
            ) from error
        configuration.retries = False
        configuration.connection_pool_maxsize = CONNECTIONS
        self.namespace = namespace or context["context"].get("namespace") or "default"
        self._server = configuration.host
        self._client = ApiClient(configuration)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.rest_client.pool_manager.clear()

    def pipeline(self, name: str) -> Object:
        """Read a Pipeline.

        Raises:
            Failure: there is none, or the API server does not say.

        """
        return self._ask("GET", self._path(PIPELINES, name), self._what(PIPELINES, name))

    def find(self, plural: str, name: str) -> Object | None:
        """Read a Pipeline or a Model; None where there is none.

        Raises:
            Failure: the API server does not say.

        """
        found = self.listed(plural, {"fieldSelector": f"metadata.name={name}"})
        return found[0] if found else None

    def listed(self, plural: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """Read all Pipelines, or all Models.

        Raises:
            Failure: the API server does not say.

        """
        found = self._ask("GET", self._path(plural), self._what(plural), query or {})
        named = {"apiVersion": API_VERSION, "kind": KINDS[plural]}  # which entries of lists lack
        return [named | one for one in found.get("items") or ()]

    def apply(self, plural: str, document: Object) -> Object:
        """Make everything that the manifest says so, whoever said otherwise.

        Raises:
            Failure: the API server does not take it.

        """
        name = document["metadata"]["name"]
        query = {"fieldManager": MANAGER, "force": "true"}
        where = self._path(plural, name)
        return self._ask("PATCH", where, self._what(plural, name), query, document, APPLY_PATCH)

    def patch(self, plural: str, name: str, changed: Object) -> Object:
        """Change some fields.

        Raises:
            Failure: the API server does not take it.

        """
        query = {"fieldManager": MANAGER}
        where = self._path(plural, name)
        return self._ask("PATCH", where, self._what(plural, name), query, changed, MERGE_PATCH)

    def annotate(self, pipeline: Object, key: str, value: str) -> None:
        """Set an annotation of the Pipeline as it was read.

        Raises:
            Failure: it changed since, or the API server does not take it.

        """
        head = pipeline["metadata"]
        changed = {"resourceVersion": head["resourceVersion"], "annotations": {key: value}}
        self.patch(PIPELINES, head["name"], {"metadata": changed})

    def evidence(self, pipeline: str) -> Object:
        """Read the ConfigMap with what the operator keeps of what pods counted; empty: none yet.

        Raises:
            Failure: the API server does not say.

        """
        path = f"/api/v1/namespaces/{quote(self.namespace)}/configmaps"
        query = {"fieldSelector": f"metadata.name={pipeline}-evidence"}
        found = self._ask("GET", path, f"ConfigMaps in namespace {self.namespace}", query)
        return next(iter(found.get("items") or ()), {})

    def revisions(self, pipeline: Object) -> list[Object]:
        """Read the ControllerRevisions of a Pipeline, newest last.

        Raises:
            Failure: the API server does not say.

        """
        path = f"/apis/apps/v1/namespaces/{quote(self.namespace)}/controllerrevisions"
        found = self._ask("GET", path, f"history of namespace {self.namespace}")
        uid = pipeline["metadata"]["uid"]
        mine = [one for one in found.get("items") or () if _owned(one, uid)]
        return sorted(mine, key=lambda one: int(one["revision"]))

    def namespaces(self) -> list[str]:
        """Names of all namespaces.

        Raises:
            Failure: the API server does not say.

        """
        found = self._ask("GET", "/api/v1/namespaces", "namespaces")
        return [one["metadata"]["name"] for one in found.get("items") or ()]

    def create_namespace(self, name: str) -> None:
        """Create a namespace.

        Raises:
            Failure: there is one, or the API server does not take it.

        """
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        query = {"fieldManager": MANAGER}
        self._ask("POST", "/api/v1/namespaces", f"namespace {name}", query, body)

    def service(self, name: str, port: str) -> Transport:
        """Give a way to a port of a Pipeline's Service, through the API server."""
        within = f"/api/v1/namespaces/{quote(self.namespace)}/services/{quote(name)}:{port}/proxy"
        pool = self._client.rest_client.pool_manager
        return Transport(self._server + within, pool=pool, authorize=self._authorization)

    def _path(self, plural: str, name: str = "") -> str:
        within = f"/apis/{API_VERSION}/namespaces/{quote(self.namespace)}/{plural}"
        return f"{within}/{quote(name, safe='')}" if name else within

    def _what(self, plural: str, name: str = "") -> str:
        what = f"{KINDS[plural]} {name}" if name else plural
        return f"{what} in namespace {self.namespace}"

    def _authorization(self) -> dict[str, str]:
        token = self._client.configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}

    def _ask(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        url = f"{self._server}{path}?{urlencode(query or {})}"
        headers = {"Accept": "application/json", "Content-Type": content}
        try:
            headers |= self._authorization()
            # The client writes what it takes for JSON by itself, and sends bytes as they are.
            plain = body is None or content != APPLY_PATCH
            sent = body if plain else json.dumps(body).encode()
            told = self._client.call_api(method, url, headers, sent, None, BOUNDS)
            raw: bytes = told.read() or b""
        except (urllib3.exceptions.HTTPError, ConfigException, ApiException, OSError) as error:
            said = " ".join(str(error).split())
            raise NoClusterError(
                f"the API server at {self._server} does not answer: {said}: does kubectl work?"
            ) from error
        found = _parsed(raw)
        if not 200 <= told.status < 300:
            said = str(found.get("message") or raw[:200].decode(errors="replace"))
            raise _failure(what, told.status, said)
        return found


def read_status(pipeline: Object) -> PipelineStatus:
    """Read the status of a Pipeline.

    Raises:
        Failure: an operator that knows more, or less, wrote it.

    """
    try:
        return PipelineStatus.model_validate_json(json.dumps(pipeline.get("status") or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Failure(
            f"the status of Pipeline {pipeline['metadata']['name']} is of another version of"
            f" Tiltyard (status.{where}: {first['msg']}): install the operator's"
        ) from error


def _owned(revision: Object, uid: str) -> bool:
    owners = revision["metadata"].get("ownerReferences") or ()
    return any(one.get("uid") == uid for one in owners)


def _parsed(body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _failure(what: str, status: int, said: str) -> Failure:
    match status:
        case 404 if said.startswith("404 page not found"):
            return NoClusterError(
                "the cluster knows no Pipelines and Models: install Tiltyard there first, as"
                " docs/install.md says"
            )
        case 404 if said.startswith("namespaces "):
            return EntityNotFoundError(
                f"{what}: there is no such namespace: kubectl get namespaces lists them"
            )
        case 404:
            return EntityNotFoundError(f"there is no {what}: kubectl get typ -A lists them")
        case 401 | 403:
            return Failure(f"the cluster does not let you at {what}: ask for the right, or log in")
        case 409:
            return Failure(f"{what} changed in this very moment: try again")
        case _:
            told = " ".join(said.split())
            return Failure(f"{what}: the API server answered {status}: {told}")
