"""What an engine may do at the API server: read its one routing ConfigMap."""

from tiltyard_operator.desired.metadata import Owner, head, routing_name
from tiltyard_operator.kinds import ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Object


def service_account(owner: Owner) -> Object:
    """Give the account that engine pods run as."""
    return head(SERVICE_ACCOUNT, owner, owner.name, "access") | {
        "automountServiceAccountToken": False
    }


def role(owner: Owner) -> Object:
    """Allow to read one object by its name."""
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [routing_name(owner.name)],
        "verbs": ["get", "list", "watch"],
    }
    return head(ROLE, owner, owner.name, "access") | {"rules": [rule]}


def role_binding(owner: Owner, account: str) -> Object:
    """Give an account, ours or the one that the user names, that right."""
    return head(ROLE_BINDING, owner, owner.name, "access") | {
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": owner.name,
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": owner.namespace}],
    }
