"""Probes of a container."""

import http.client
import socket
import time
from typing import Any

Object = dict[str, Any]


class Probe:
    """One probe: when it is due, and what its answers so far amount to."""

    def __init__(self, spec: Object, container: Object, address: str, started: float) -> None:
        self._spec = spec
        self._container = container
        self._address = address
        self._due = started + spec.get("initialDelaySeconds", 0)
        self._successes = 0
        self._failures = 0
        self.last_failure = ""

    @property
    def succeeded(self) -> bool:
        """Whether enough answers in a row were good."""
        return self._successes >= int(self._spec.get("successThreshold", 1))

    @property
    def failed(self) -> bool:
        """Whether enough answers in a row were bad."""
        return self._failures >= int(self._spec.get("failureThreshold", 3))

    def look(self) -> None:
        """Ask, if it is time to."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._spec.get("periodSeconds", 10)
        self.last_failure = self._ask()
        if self.last_failure:
            self._failures, self._successes = self._failures + 1, 0
        else:
            self._failures, self._successes = 0, self._successes + 1

    def _ask(self) -> str:
        """Ask once; says what was wrong."""
        seconds = self._spec.get("timeoutSeconds", 1)
        try:
            match self._spec:
                case {"httpGet": action}:
                    return self._get(action, seconds)
                case {"tcpSocket": action}:
                    address = (self._address, self._port(action["port"]))
                    socket.create_connection(address, seconds).close()
                    return ""
                case _:
                    return "the stand-in node knows probes by httpGet and tcpSocket only"
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__

    def _get(self, action: Object, seconds: float) -> str:
        host = action.get("host", self._address)
        connection = http.client.HTTPConnection(host, self._port(action["port"]), timeout=seconds)
        try:
            headers = {header["name"]: header["value"] for header in action.get("httpHeaders", ())}
            connection.request("GET", action.get("path", "/"), headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        good = 200 <= status < 400
        return "" if good else f"HTTP probe failed with statuscode: {status}"

    def _port(self, port: int | str) -> int:
        named = {one.get("name"): one["containerPort"] for one in self._container.get("ports", ())}
        return int(named.get(port, port))
