"""A server of ours in a process of its own, for tests that need all the file descriptors.

Run as a program: prints its port and serves until its standard input ends.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

from loopback import echo, refuse
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import bind
from tiltyard_engine.http.server import Server


async def serve(max_connections: int) -> None:
    """Serve until standard input ends."""
    sockets = bind("127.0.0.1", 0, 1)
    server = Server(echo, refuse, Limits(max_connections=max_connections))
    await server.start(*sockets)
    sys.stdout.write(f"{sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    sys.stdout.write(f"{peak_kilobytes()}\n")


def peak_kilobytes() -> int:
    """Peak resident memory; ru_maxrss would begin with that of the process we were forked from."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
