"""Where a node lives on this machine: names and addresses, and whether it can live here at all.

There is one node on a machine at a time, so that whatever bears its name is known to be its own.
"""

import ipaddress
import os
import shutil
import sys
from pathlib import Path

NAME = "tiltyard-node"
"""Of the node, of its network namespace, of its cgroup and of its pod network."""

STATE = Path("/var/lib") / NAME
"""Everything that it writes."""

LOCK = Path("/var/lib") / f"{NAME}.lock"
"""Held by who runs it."""

LINK = "tiltyard-host"
"""Our end of the cable to it; at most 15 characters."""

NETWORK = ipaddress.ip_network("10.97.0.0/24")
NODE, HOST = NETWORK[1], NETWORK[2]
PODS = ipaddress.ip_network("10.98.0.0/24")
SERVICES = ipaddress.ip_network("10.96.0.0/16")

SOCKET = STATE / "containerd.sock"

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""What Debian has for a node and its images, with the package of each."""

PLUGINS = Path("/usr/lib/cni")


def obstacle() -> str | None:
    """Why no node can run here; None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a node needs Linux and root: it makes network namespaces, mounts and cgroups"
    missing = {package for tool, package in PROGRAMS.items() if shutil.which(tool) is None}
    if not (PLUGINS / "bridge").exists():
        missing.add("containernetworking-plugins")
    if missing:
        return f"a node needs Debian's packages {' '.join(sorted(missing))}"
    return None
