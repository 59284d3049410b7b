"""How requests reach the engines, and who may ask their management port."""

from collections.abc import Mapping

from tiltyard_api.names import DATA_PORT, GRPC_PORT, MANAGEMENT_PORT
from tiltyard_operator.desired.metadata import Owner, head, selector
from tiltyard_operator.kinds import NETWORK_POLICY, SERVICE, Object

PORTS: Mapping[str, int] = {
    "http": DATA_PORT,
    "grpc": GRPC_PORT,
    "management": MANAGEMENT_PORT,
}

PROTOCOLS: Mapping[str, str] = {"grpc": "kubernetes.io/h2c"}
"""What load balancers take a port for; without a word for plain HTTP/1.1."""


def service(owner: Owner) -> Object:
    """One address for all pods."""
    ports = [
        {
            "name": name,
            "port": port,
            "targetPort": name,
            "protocol": "TCP",
            "appProtocol": PROTOCOLS.get(name, "http"),
        }
        for name, port in PORTS.items()
    ]
    spec = {"type": "ClusterIP", "selector": selector(owner.name), "ports": ports}
    return head(SERVICE, owner, owner.name, "service") | {"spec": spec}


def network_policy(owner: Owner, operator: str, monitoring: Mapping[str, str]) -> Object:
    """Data ports open to all; management to the operator's and the monitoring's namespaces.

    The kubelet's probes come from the pod's own node and are never kept out.
    """
    watchers = [{"kubernetes.io/metadata.name": operator}, dict(monitoring)]
    ingress = [
        {"ports": [_port(DATA_PORT), _port(GRPC_PORT)]},
        {
            "from": [{"namespaceSelector": {"matchLabels": one}} for one in watchers],
            "ports": [_port(MANAGEMENT_PORT)],
        },
    ]
    return head(NETWORK_POLICY, owner, owner.name, "network") | {
        "spec": {
            "podSelector": {"matchLabels": selector(owner.name)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        }
    }


def endpoint(namespace: str, name: str) -> str:
    """Where requests are posted to within the cluster."""
    return f"http://{name}.{namespace}.svc:{DATA_PORT}/pipelines/{name}"


def _port(number: int) -> Object:
    return {"port": number, "protocol": "TCP"}
