"""A cluster, as the kubeconfig names it. The only module here that knows the kubernetes package."""

from typing import Any, Self

import urllib3

from tiltyard.failure import Failure
from tiltyard_api.names import API_VERSION

try:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
except ModuleNotFoundError as error:
    raise Failure(
        f"{error.name}, which talks to clusters, is missing: pip install 'tiltyard[sdk,cluster]'"
    ) from error

Object = dict[str, Any]
"""An object as the API server sends it."""

PIPELINES = "pipelines"
BOUNDS = (5.0, 20.0)
"""Seconds to connect, and without a byte."""


class Cluster:
    """Pipelines of one namespace.

    Args:
        namespace: where they are; None: the kubeconfig's own, else `default`.

    Raises:
        Failure: there is no kubeconfig, or it cannot be used.

    """

    def __init__(self, namespace: str | None) -> None:
        configuration = Configuration()
        try:
            config.load_kube_config(client_configuration=configuration)
            _, context = config.list_kube_config_contexts()
        except Exception as error:  # its loader trips over bad files in many ways
            why = f"the kubeconfig cannot be used: {error}: is KUBECONFIG right, does kubectl work?"
            raise Failure(why.replace("\n", " ")) from error
        configuration.retries = False
        self.namespace = namespace or context["context"].get("namespace") or "default"
        self._server = configuration.host
        self._client = ApiClient(configuration)
        self._objects = CustomObjectsApi(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.rest_client.pool_manager.clear()

    def pipeline(self, name: str) -> Object:
        """Read a Pipeline.

        Raises:
            Failure: there is none, or the API server does not say.

        """
        return self._call(name, self._objects.get_namespaced_custom_object)

    def annotate(self, pipeline: Object, key: str, value: str) -> None:
        """Set an annotation of the Pipeline as it was read.

        Raises:
            Failure: it changed since, or the API server does not take it.

        """
        head = pipeline["metadata"]
        changed = {"resourceVersion": head["resourceVersion"], "annotations": {key: value}}
        self._call(
            head["name"],
            self._objects.patch_namespaced_custom_object,
            body={"metadata": changed},
            field_manager="tiltyard",
        )

    def _call(self, name: str, ask: Any, **more: object) -> Object:  # noqa: ANN401 - a method of the client
        group, _, version = API_VERSION.partition("/")
        try:
            found: Object = ask(
                group=group,
                version=version,
                namespace=self.namespace,
                plural=PIPELINES,
                name=name,
                _request_timeout=BOUNDS,
                **more,
            )
        except ApiException as error:
            raise Failure(self._why(name, error)) from error
        except (urllib3.exceptions.HTTPError, ConfigException, OSError) as error:
            said = " ".join(str(error).split())
            raise Failure(
                f"the API server at {self._server} does not answer: {said}: does kubectl work?"
            ) from error
        return found

    def _why(self, name: str, error: ApiException) -> str:
        where = f"Pipeline {name} in namespace {self.namespace}"
        match error.status:
            case 404:
                return f"there is no {where}: kubectl get pipelines -A lists them"
            case 401 | 403:
                return f"the cluster does not let you at {where}: ask for the right, or log in"
            case 409:
                return f"{where} changed in this very moment: try again"
            case _:
                return f"{where}: the API server answered {error.status} {error.reason}"
