"""A control plane on loopback: etcd, API server, controller manager, scheduler; no root needed."""

import json
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme
import urllib3
import yaml

from cluster.api import Api, ApiError
from cluster.binaries import Binaries
from cluster.node.place import NAME, SERVICES
from cluster.processes import Child

_LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)
"""Below those that the kernel hands out, so that no client's connection takes one meanwhile."""

_READY_SECONDS = 90.0
_ISSUER = "https://kubernetes.default.svc"
_USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kubelet": (f"system:node:{NAME}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
}
"""User and group by the name of its kubeconfig file."""

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "Metadata"},
    ],
}
"""Every write and nothing else, so that tests can count who wrote what."""

_ALONE = ["--endpoint-reconciler-type=none"]  # loopback is no address for an Endpoints object
_WITH_NODE = [
    "--kubelet-client-certificate=pki/towards-kubelet.crt",
    "--kubelet-client-key=pki/towards-kubelet.key",
    "--kubelet-preferred-address-types=InternalIP",
]


class NotReadyError(Exception):
    """A part of the control plane did not come up."""


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that runs: what is needed to talk to it."""

    directory: Path
    url: str
    version: str
    token: str
    """Token of an administrator."""

    kubectl: Path
    seconds: float
    """How long it took to start."""

    @property
    def port(self) -> int:
        """Port of the API server."""
        return int(self.url.rpartition(":")[2])

    @property
    def ca(self) -> Path:
        """Certificate to trust."""
        return self.directory / "pki" / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """Configuration of an administrator."""
        return self.directory / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Every write that the API server answered, one JSON object a line."""
        return self.directory / "audit.log"

    def api(self) -> Api:
        """Give a client with an administrator's rights."""
        return Api(self.url, self.token, self.ca)

    def write_kubeconfig(self, path: Path, token: str, url: str | None = None) -> Path:
        """Write a configuration for another user, or for another way to the API server."""
        server = {"server": url or self.url, "certificate-authority": str(self.ca)}
        if server["server"].startswith("http:"):
            del server["certificate-authority"]
        path.touch(mode=0o600)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path


class Running:
    """The processes of a control plane; parts of it can be stopped and started again.

    Args:
        directory: for its state.
        binaries: its programs.
        address: where the API server listens: on loopback, or where a node reaches it.

    """

    def __init__(self, directory: Path, binaries: Binaries, address: str = _LOOPBACK) -> None:
        self.directory = directory
        self._binaries = binaries
        self._children: dict[str, Child] = {}
        secure, client, peer = _free_ports(3)
        tokens = {name: secrets.token_urlsafe(24) for name in _USERS}
        self.plane = ControlPlane(
            directory,
            f"https://{address}:{secure}",
            binaries.version,
            tokens["admin"],
            binaries["kubectl"],
            seconds=0.0,
        )
        _write_secrets(directory, tokens, address)
        for name, token in tokens.items():
            self.plane.write_kubeconfig(directory / f"{name}.kubeconfig", token)
        self._commands = _commands(directory, client, peer)
        reached = _ALONE if address == _LOOPBACK else _WITH_NODE
        where = [f"--bind-address={address}", f"--secure-port={secure}"]
        self._commands["kube-apiserver"] += where + reached

    def start(self) -> ControlPlane:
        """Start everything and wait until it can be used."""
        started = time.monotonic()
        for name in self._commands:
            self.start_part(name)
        self._await("the default service account", "kube-controller-manager", self._has_account)
        seconds = time.monotonic() - started
        self.plane = ControlPlane(**(vars(self.plane) | {"seconds": seconds}))
        return self.plane

    def start_part(self, name: str) -> None:
        """Start one program; the API server is ready when this returns."""
        log = self.directory / f"{name}.log"
        command: list[str | Path] = [self._binaries[name], *self._commands[name]]
        self._children[name] = Child(command, log, directory=self.directory)
        if name == "kube-apiserver":
            self._await("the API server", name, self._is_ready)

    def stop_part(self, name: str) -> None:
        """Stop one program."""
        self._children.pop(name).stop()

    @property
    def parts(self) -> dict[str, int]:
        """Process of each program."""
        return {name: child.process.pid for name, child in self._children.items()}

    def stop(self) -> None:
        """Stop everything, in the reverse order."""
        for name in reversed(list(self._children)):
            self.stop_part(name)

    def _await(self, what: str, name: str, ready: Callable[[Api], bool]) -> None:
        api = self.plane.api()
        end = time.monotonic() + _READY_SECONDS
        try:
            while time.monotonic() < end:
                with suppress(urllib3.exceptions.HTTPError, ApiError):
                    if ready(api):
                        return
                for child_name, child in self._children.items():
                    if not child.running:
                        raise NotReadyError(f"{child_name} ended:\n{child.last_words()}")
                time.sleep(0.05)
        finally:
            api.close()
        words = self._children[name].last_words()
        raise NotReadyError(
            f"{what} was not ready in {_READY_SECONDS:.0f} s; {name} said:\n{words}"
        )

    @staticmethod
    def _is_ready(api: Api) -> bool:
        return api.text("/readyz") == "ok"

    @staticmethod
    def _has_account(api: Api) -> bool:
        namespace = "/api/v1/namespaces/default"
        return all(
            api.get(f"{namespace}/{name}") is not None
            for name in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
        )


@contextmanager
def running(directory: Path, binaries: Binaries, address: str = _LOOPBACK) -> Iterator[Running]:
    """Run a control plane with its state in a directory until the block ends."""
    plane = Running(directory, binaries, address)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on; they are picked at random, so two of us rarely meet."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)  # noqa: S311 - not a secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind((_LOOPBACK, port))
            if port not in found:
                found.append(port)
    return found


def _write_secrets(directory: Path, tokens: dict[str, str], address: str) -> None:
    """Write what servers and users prove themselves by."""
    pki = directory / "pki"
    pki.mkdir(parents=True, mode=0o700)
    authority = trustme.CA()
    within = str(SERVICES[1])  # where pods find it
    server = authority.issue_cert(address, _LOOPBACK, "localhost", within, "kubernetes.default.svc")
    authority.cert_pem.write_to_path(pki / "ca.crt")
    server.cert_chain_pems[0].write_to_path(pki / "apiserver.crt")
    server.private_key_pem.write_to_path(pki / "apiserver.key")
    towards = authority.issue_cert(
        "kube-apiserver", common_name="kube-apiserver", organization_name="system:masters"
    )
    towards.cert_chain_pems[0].write_to_path(pki / "towards-kubelet.crt")
    towards.private_key_pem.write_to_path(pki / "towards-kubelet.key")
    signing = authority.issue_cert("service-accounts")
    signing.private_key_pem.write_to_path(pki / "accounts.key")
    lines = [
        f'{token},{user},{user},"{group}"'
        for token, (user, group) in zip(tokens.values(), _USERS.values(), strict=True)
    ]
    (pki / "tokens.csv").write_text("\n".join(lines) + "\n")
    (directory / "audit-policy.yaml").write_text(json.dumps(_AUDIT))


def _commands(directory: Path, client: int, peer: int) -> dict[str, list[str]]:
    """Arguments of each program, in the order in which they start."""
    etcd, peers = f"http://{_LOOPBACK}:{client}", f"http://{_LOOPBACK}:{peer}"
    return {
        "etcd": [
            f"--data-dir={directory / 'etcd'}",
            "--unsafe-no-fsync",  # nothing here outlives the machine
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ],
        "kube-apiserver": [
            f"--etcd-servers={etcd}",
            "--tls-cert-file=pki/apiserver.crt",
            "--tls-private-key-file=pki/apiserver.key",
            "--token-auth-file=pki/tokens.csv",
            "--service-account-key-file=pki/accounts.key",
            "--service-account-signing-key-file=pki/accounts.key",
            f"--service-account-issuer={_ISSUER}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,PodNodeSelector",
            "--audit-policy-file=audit-policy.yaml",
            "--audit-log-path=audit.log",
        ],
        "kube-controller-manager": [
            "--kubeconfig=kube-controller-manager.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials",
            "--service-account-private-key-file=pki/accounts.key",
            "--root-ca-file=pki/ca.crt",
        ],
        "kube-scheduler": [
            "--kubeconfig=kube-scheduler.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
        ],
    }
