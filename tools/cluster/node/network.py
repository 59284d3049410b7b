"""A network namespace for the node, and a cable to it; nothing in it reaches further than us."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.node.commands import run
from cluster.node.place import HOST, LINK, NAME, NETWORK, NODE, PODS, SERVICES

_HELD = Path("/run/netns") / NAME


def enter() -> list[str]:
    """Start of a command that runs in it.

    `ip netns exec` would do, but mounts a /sys without cgroups.
    """
    return ["nsenter", f"--net={_HELD}"]


def make() -> None:
    """Make it, and the ways between it and us."""
    inside, size = "uplink", NETWORK.prefixlen
    run("ip", "netns", "add", NAME)
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", inside, "netns", NAME)
    run("ip", "address", "add", f"{HOST}/{size}", "dev", LINK)
    run("ip", "link", "set", LINK, "up")
    for words in (
        ["link", "set", "lo", "up"],
        ["address", "add", f"{NODE}/{size}", "dev", inside],
        ["link", "set", inside, "up"],
        # kube-proxy turns these around before they leave; without a route they would never start
        ["route", "add", str(SERVICES), "dev", inside],
    ):
        run("ip", "-netns", NAME, *words)
    for network in (PODS, SERVICES):
        run("ip", "route", "replace", str(network), "via", str(NODE))
    run(*enter(), "sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")


@contextmanager
def cut_off(pod: str, port: int) -> Iterator[None]:
    """Let nothing that a port of this machine's says reach a pod until the block ends."""
    said = ["--destination", pod, "--protocol", "tcp", "--sport", str(port)]
    rule = ["FORWARD", *said, "--jump", "DROP"]
    run(*enter(), "iptables", "--insert", *rule)
    try:
        yield
    finally:
        run(*enter(), "iptables", "--delete", *rule)


def processes() -> set[int]:
    """Everything that runs in it: the node's own programs, and the shims of its containers."""
    with suppress(OSError):
        ours = _HELD.stat().st_ino
        return {int(one.name) for one in Path("/proc").glob("[0-9]*") if _namespace(one) == ours}
    return set()


def _namespace(process: Path) -> int:
    with suppress(OSError):
        return (process / "ns" / "net").stat().st_ino
    return 0


def remove() -> None:
    """Remove it; its routes and rules go with it."""
    run("ip", "link", "delete", LINK, insist=False)
    run("ip", "netns", "delete", NAME, insist=False)
