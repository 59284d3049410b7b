"""What one look reads: nothing twice, and what the watches told not at all, for a while."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from operators import cluster_at
from tiltyard_operator.cluster import Bounds
from tiltyard_operator.desired.metadata import MANAGED_BY
from tiltyard_operator.errors import Conflict, Unavailable
from tiltyard_operator.kinds import CONFIG_MAP, DEPLOYMENT, POD, SERVICE, Kind, Object
from tiltyard_operator.view import KEPT_FOR, Memory, View


class Server:
    """Answers as an API server with one object, and counts how often it is read."""

    def __init__(self) -> None:
        self.there: Object | None = None
        self.reads = 0
        self.status = 200
        self.lists: list[str] = []
        """Versions that lists were asked to contain; empty: everything there is."""

    def reply(self, asked: BaseHTTPRequestHandler) -> tuple[int, Object]:
        """Give what is asked for."""
        self.reads += asked.command == "GET"
        if asked.command != "GET":
            length = int(asked.headers["Content-Length"])
            return self.status, json.loads(asked.rfile.read(length))
        if "labelSelector" in asked.path:
            self.lists += parse_qs(asked.path).get("resourceVersion", [""])
            listed = {"metadata": {"resourceVersion": "20"}, "items": [self.there]}
            return (self.status, listed) if self.status == 200 else (self.status, {})
        return (200, self.there) if self.there else (404, {"reason": "NotFound"})


@contextmanager
def listening(server: Server) -> Iterator[str]:
    """Let a server listen; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, said = server.reply(self)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        do_PATCH = do_GET  # noqa: N815 - the name that the library looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            thread.join()


def make(kind: Kind, version: str = "7", **more: object) -> Object:
    head = {
        "namespace": "n",
        "name": "p",
        "labels": {**MANAGED_BY},
        "resourceVersion": version,
        "managedFields": [{}],
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": head, **more}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def look(server: Server, clock: Clock) -> Iterator[Callable[[], View]]:
    """Begin a look."""
    memory = Memory(clock)
    bounds = Bounds(connect=5, silence=5, total=10, pauses=())
    with listening(server) as url:
        cluster = cluster_at(url, bounds)
        yield lambda: View(cluster, memory)


def test_a_look_reads_nothing_twice_and_the_next_reads_anew(
    server: Server, look: Callable[[], View]
) -> None:
    server.there = make(DEPLOYMENT)
    for number in (1, 2):
        view = look()
        for _ in range(2):
            assert view.get(DEPLOYMENT, "n", "p") == server.there
        assert server.reads == number


def test_what_was_listed_is_not_read_again(server: Server, look: Callable[[], View]) -> None:
    server.there = make(CONFIG_MAP)
    view = look()
    assert view.list(CONFIG_MAP, "n", "a=b") == [view.get(CONFIG_MAP, "n", "p")]
    assert server.reads == 1


SEEN: dict[str, tuple[str, Callable[[View], object]]] = {
    "nothing": ("", lambda view: view.memory.clear()),
    "of another kind": ("", lambda view: view.memory.watched("ADDED", make(DEPLOYMENT, "30"))),
    "an earlier list": ("20", lambda view: view.list(POD, "n", "a=b")),
    "a watch": ("30", lambda view: view.memory.watched("MODIFIED", make(POD, "30"))),
    "an end": ("31", lambda view: view.memory.watched("DELETED", make(POD, "31"))),
    "a write": ("32", lambda view: view.apply(make(POD, "32"))),
}


@pytest.mark.parametrize(("version", "see"), SEEN.values(), ids=SEEN)
def test_a_list_is_as_new_as_what_was_seen_before(
    server: Server, look: Callable[[], View], version: str, see: Callable[[View], object]
) -> None:
    server.there = make(POD)
    see(look())
    look().list(POD, "n", "a=b")
    assert server.lists[-1] == version


def test_a_list_waits_for_no_version_after_it_failed_since_etcd_may_have_gone_back(
    server: Server, look: Callable[[], View]
) -> None:
    server.there = make(POD)
    look().memory.watched("ADDED", make(POD, "1000"))
    server.status = 504
    with pytest.raises(Unavailable):
        look().list(POD, "n", "a=b")
    server.status = 200
    look().list(POD, "n", "a=b")
    assert server.lists == ["1000", ""]


def test_what_a_read_or_a_watch_showed_is_known_for_a_while(
    server: Server, look: Callable[[], View], clock: Clock
) -> None:
    server.there = make(SERVICE)
    look().get(SERVICE, "n", "p")
    clock.now += KEPT_FOR - 1
    assert "managedFields" not in (look().get(SERVICE, "n", "p") or {})["metadata"]
    assert server.reads == 1
    clock.now += 1
    look().get(SERVICE, "n", "p")
    assert server.reads == 2
    look().memory.watched("MODIFIED", make(SERVICE, "8", spec="theirs"))
    assert (look().get(SERVICE, "n", "p") or {})["spec"] == "theirs"
    assert server.reads == 2


def test_a_read_that_comes_late_does_not_hide_what_a_watch_told(
    server: Server, look: Callable[[], View]
) -> None:
    memory = look().memory
    memory.watched("MODIFIED", make(SERVICE, "10", spec="new"))
    memory.note(make(SERVICE, "9", spec="old"))
    assert (look().get(SERVICE, "n", "p") or {})["spec"] == "new"
    assert server.reads == 0


ENDS: dict[str, Callable[[Memory], None]] = {
    "deleted": lambda memory: memory.watched("DELETED", make(SERVICE)),
    "resync": lambda memory: memory.clear(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_went_or_was_long_ago_is_read(
    server: Server, look: Callable[[], View], end: Callable[[Memory], None]
) -> None:
    server.there = make(SERVICE)
    look().get(SERVICE, "n", "p")
    end(look().memory)
    look().get(SERVICE, "n", "p")
    assert server.reads == 2


def test_what_could_not_be_written_is_read_anew_in_the_same_look(
    server: Server, look: Callable[[], View]
) -> None:
    server.there, server.status = make(SERVICE), 409
    view = look()
    view.get(SERVICE, "n", "p")
    with pytest.raises(Conflict):
        view.apply(make(SERVICE))
    view.get(SERVICE, "n", "p")
    assert server.reads == 2


def test_what_was_written_is_known(server: Server, look: Callable[[], View]) -> None:
    view = look()
    assert view.get(SERVICE, "n", "p") is None
    view.apply(make(SERVICE))
    assert view.get(SERVICE, "n", "p")
    assert look().get(SERVICE, "n", "p")
    assert server.reads == 1


def test_what_is_not_ours_is_read_each_time_since_no_watch_tells_of_it(
    server: Server, look: Callable[[], View]
) -> None:
    server.there = make(SERVICE)
    server.there["metadata"]["labels"] = {"app": "theirs"}
    for number in (1, 2):
        look().get(SERVICE, "n", "p")
        assert server.reads == number


def test_what_is_not_there_is_read_each_time_since_others_may_make_it(
    server: Server, look: Callable[[], View]
) -> None:
    assert look().get(SERVICE, "n", "p") is None
    server.there = make(SERVICE)
    assert look().get(SERVICE, "n", "p")
