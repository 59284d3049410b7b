"""Several requests at once on one connection."""

import threading

import pytest

from loopback import PATIENCE, serving
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Reply, Request, Response


def get(number: int) -> bytes:
    return b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number


def own_path(request: Request, reply: Reply) -> None:
    reply(Response(200, request.path.encode()))


class Later:
    """A handler that keeps its replies until it is told to give them."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.changed = threading.Condition()

    def __call__(self, request: Request, reply: Reply) -> None:
        with self.changed:
            self.replies[request.path] = reply
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.replies) >= count, PATIENCE)

    def give(self, path: str) -> None:
        self.replies.pop(path)(Response(200, path.encode()))


@pytest.mark.parametrize("most", [1, 3, 32])
def test_hundreds_at_once_are_answered_in_order(most: int) -> None:
    with serving(own_path, Limits(max_pipelined=most)) as served, served.connect() as client:
        client.send(b"".join(get(number) for number in range(500)))
        for number in range(500):
            assert client.answer().body == b"/%d" % number


def test_answers_go_out_in_order_whatever_order_they_are_given_in() -> None:
    later = Later()
    with serving(later) as served, served.connect() as client:
        client.send(b"".join(get(number) for number in range(8)))
        later.wait_for(8)
        for number in (3, 1, 7, 0, 2, 6, 5, 4):
            served.call(lambda number=number: later.give(f"/{number}"))
        assert [client.answer().body for _ in range(8)] == [b"/%d" % n for n in range(8)]


def test_no_more_than_the_limit_wait_for_their_answers() -> None:
    later = Later()
    with serving(later, Limits(max_pipelined=4)) as served, served.connect() as client:
        for number in range(20):
            client.send(get(number))
        later.wait_for(4)
        for first in range(0, 20, 4):
            later.wait_for(4)
            assert sorted(later.replies) == sorted(f"/{first + n}" for n in range(4))
            for number in range(first, first + 4):
                served.call(lambda number=number: later.give(f"/{number}"))
        assert [client.answer().body for _ in range(20)] == [b"/%d" % n for n in range(20)]


def test_a_refusal_waits_for_the_answers_before_it() -> None:
    later = Later()
    with serving(later) as served, served.connect() as client:
        client.send(get(0) + get(1) + b"nonsense\r\n\r\n")
        later.wait_for(2)
        served.call(lambda: later.give("/1"))
        served.call(lambda: later.give("/0"))
        assert [client.answer().status for _ in range(3)] == [200, 200, 400]
        assert client.at_end()


def test_to_go_on_is_said_after_the_answers_before_it() -> None:
    later = Later()
    with serving(later) as served, served.connect() as client:
        asking = b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        client.send(get(0) + asking)
        later.wait_for(1)
        served.call(lambda: later.give("/0"))
        assert client.opening()[0] == 200
        assert client.pipe(2) == b"/0"
        assert client.opening()[0] == 100
        client.send(b"hello")
        later.wait_for(1)
        served.call(lambda: later.give("/1"))
        assert client.answer().body == b"/1"


def test_nothing_is_taken_after_a_request_that_says_close() -> None:
    with serving(own_path) as served, served.connect() as client:
        client.send(get(0) + b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get(2))
        assert [client.answer().body for _ in range(2)] == [b"/0", b"/1"]
        assert client.at_end()
        assert [request.path for request in served.requests] == ["/0", "/1"]
