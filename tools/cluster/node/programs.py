"""What containerd, the kubelet and kube-proxy are told."""

import json
from collections.abc import Mapping
from pathlib import Path

from cluster.binaries import Binaries
from cluster.node.images import SANDBOX, snapshotter
from cluster.node.place import NAME, NODE, PLUGINS, PODS, SERVICES, SOCKET, STATE

_NETWORK = {
    "cniVersion": "0.4.0",
    "name": NAME,
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(STATE / "addresses"),
                "ranges": [[{"subnet": str(PODS)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
    ],
}
"""A bridge that pods and, through the cable, tests are joined by."""

_CONTAINERD = f"""
version = 2
root = "{STATE}/containerd"
state = "{STATE}/run"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX}"
  restrict_oom_score_adj = true  # not every root may lower it
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "%s"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{STATE}/network"
"""

_DISK = {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"}
"""Below these the node evicts pods; a developer's disk is fuller than a server's."""

_AUTHENTICATION = {"anonymous": {"enabled": False}, "webhook": {"enabled": True}}

_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{NAME}",
    "clusterDNS": [
        str(SERVICES[10])
    ],  # nobody answers there; the alternative is this machine's own
    "clusterDomain": "cluster.local",
    "enforceNodeAllocatable": [],  # the rest of the machine is not ours to bound
    "failCgroupV1": False,
    "failSwapOn": False,
    "oomScoreAdj": 0,  # not every root may lower it
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "evictionHard": _DISK,
    "localStorageCapacityIsolation": False,  # its quotas need a file system of their own
    "podLogsDir": str(STATE / "logs"),
    "resolvConf": str(STATE / "resolv.conf"),
}


def write(ca: Path) -> None:
    """Write the configuration of all of them."""
    (STATE / "network").mkdir(parents=True, exist_ok=True)
    (STATE / "network" / "10-pods.conflist").write_text(json.dumps(_NETWORK))
    (STATE / "containerd.toml").write_text(_CONTAINERD % snapshotter())
    who = {**_AUTHENTICATION, "x509": {"clientCAFile": str(ca)}}
    (STATE / "kubelet.json").write_text(json.dumps({**_KUBELET, "authentication": who}))
    # an empty file would give pods this machine's own resolver
    (STATE / "resolv.conf").write_text(f"nameserver {SERVICES[10]}\n")


def commands(binaries: Binaries, kubeconfigs: Mapping[str, Path]) -> dict[str, list[str | Path]]:
    """Command of each program, in the order in which they start."""
    return {
        "containerd": ["containerd", f"--config={STATE / 'containerd.toml'}"],
        "kubelet": [
            binaries["kubelet"],
            f"--config={STATE / 'kubelet.json'}",
            f"--kubeconfig={kubeconfigs['kubelet']}",
            f"--root-dir={STATE / 'kubelet'}",
            f"--cert-dir={STATE / 'kubelet-pki'}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE}",
        ],
        "kube-proxy": [
            binaries["kube-proxy"],
            f"--kubeconfig={kubeconfigs['kube-proxy']}",
            f"--hostname-override={NAME}",
            f"--cluster-cidr={PODS}",
            "--proxy-mode=iptables",
            # the kernel's bounds are the machine's
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
    }
