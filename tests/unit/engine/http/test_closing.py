"""How connections end: half-closed clients, draining, and too many at once."""

import socket
import threading
import time

import pytest

from loopback import PATIENCE, Client, serving
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import bind
from tiltyard_engine.http.message import Reply, Request, Response

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Gate:
    """A handler that holds requests until it is opened."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.came = threading.Semaphore(0)

    def __call__(self, _: Request, reply: Reply) -> None:
        self.replies.append(reply)
        self.came.release()

    def open(self) -> None:
        while self.replies:
            self.replies.pop(0)(Response(200, b"done"))


def test_a_client_that_shuts_its_side_is_still_answered() -> None:
    with serving() as served, served.connect() as client:
        client.send(GET * 3)
        client.shut()
        assert [client.answer().status for _ in range(3)] == [200] * 3
        assert client.at_end()


def test_a_client_that_shuts_its_side_is_answered_late_too() -> None:
    gate = Gate()
    with serving(gate) as served, served.connect() as client:
        client.send(GET * 2)
        client.shut()
        gate.came.acquire(timeout=PATIENCE)
        gate.came.acquire(timeout=PATIENCE)
        time.sleep(0.05)
        served.call(gate.open)
        assert [client.answer().body for _ in range(2)] == [b"done"] * 2
        assert client.at_end()


def test_a_big_answer_reaches_a_client_that_has_shut_its_side() -> None:
    body = b"a" * 10_000_000
    with (
        serving(lambda _, reply: reply(Response(200, body))) as served,
        served.connect() as client,
    ):
        client.send(GET)
        client.shut()
        assert client.answer().body == body
        assert client.at_end()


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("part", [GET[:5], GET[:-1], POST, POST + b"he"])
def test_a_client_that_shuts_in_the_midst_of_a_request_is_told(part: bytes) -> None:
    with serving() as served, served.connect() as client:
        client.send(GET + part)
        client.shut()
        assert [client.answer().status for _ in range(2)] == [200, 400]
        assert client.at_end()


def test_a_client_that_shuts_without_a_request_is_let_go() -> None:
    with serving() as served, served.connect() as client:
        client.shut()
        assert client.at_end()


def test_draining_answers_what_was_asked_and_closes_what_is_idle() -> None:
    gate = Gate()
    with serving(gate) as served, served.connect() as busy, served.connect() as idle:
        for client in (idle, busy):
            client.send(GET)
            gate.came.acquire(timeout=PATIENCE)
            if client is idle:
                served.call(gate.open)
                assert "Connection" not in client.answer().headers
        served.call(served.server.drain)
        assert idle.at_end()
        served.call(gate.open)
        answer = busy.answer()
        assert (answer.body, answer.headers["Connection"]) == (b"done", "close")
        assert busy.at_end()


def test_draining_still_accepts_until_told_not_to() -> None:
    with serving() as served:
        served.call(served.server.drain)
        with served.connect() as client:
            client.send(GET)
            assert client.answer().headers["Connection"] == "close"
        served.call(served.server.stop_accepting)
        with pytest.raises(ConnectionRefusedError):
            served.connect()
        assert served.finished(PATIENCE)


def test_draining_answers_everything_that_was_pipelined() -> None:
    gate = Gate()
    with serving(gate) as served, served.connect() as client:
        client.send(GET * 5)
        for _ in range(5):
            gate.came.acquire(timeout=PATIENCE)
        served.call(served.server.drain)
        served.call(gate.open)
        said = [client.answer().headers.get("Connection") for _ in range(5)]
        assert said == [None] * 4 + ["close"]


def test_nothing_that_was_accepted_is_lost_when_draining_under_load() -> None:
    """64 clients ask as fast as they can; who is refused a connection has lost no request."""
    wrong: list[str] = []
    served_counts = [0] * 64

    def ask_until_refused(number: int, port: int) -> None:
        while True:
            try:
                sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            except ConnectionRefusedError:
                return
            with Client(sock) as client:
                closing = False
                while not closing:
                    try:
                        client.sock.sendall(GET)
                        closing = client.answer().headers.get("Connection") == "close"
                    except (AssertionError, OSError) as error:
                        wrong.append(f"client {number}: {error!r}")
                        return
                    served_counts[number] += 1

    with serving() as served:
        threads = [
            threading.Thread(target=ask_until_refused, args=(n, served.port)) for n in range(64)
        ]
        for thread in threads:
            thread.start()
        while min(served_counts) < 3:
            time.sleep(0.01)
        served.call(served.server.drain)
        time.sleep(0.3)
        served.call(served.server.stop_accepting)
        assert served.finished(PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)
    # Between our last look at the queue of arrivals and its closing lies a moment in which the
    # kernel may accept one more; it resets that one.
    assert len(wrong) <= 1, wrong
    assert sum(served_counts) == len(served.requests)


def test_what_does_not_finish_in_time_is_cut_off() -> None:
    gate = Gate()
    with serving(gate) as served, served.connect() as client:
        client.send(GET)
        gate.came.acquire(timeout=PATIENCE)
        served.call(served.server.drain)
        served.call(served.server.stop_accepting)
        assert not served.finished(0.1)
        served.call(gate.open)


def test_connections_beyond_the_limit_are_told_so_and_room_is_used_again() -> None:
    with serving(limits=Limits(max_connections=3)) as served:
        clients = [served.connect() for _ in range(3)]
        for client in clients:
            client.send(GET)
            assert client.answer().status == 200
        for _ in range(3):
            with served.connect() as extra:
                extra.send(GET)
                answer = extra.answer()
                assert (answer.status, answer.json["reason"]) == (503, "Overloaded")
                assert extra.at_end()
        for client in clients:
            client.send(GET)
            assert client.answer().status == 200
        clients.pop().__exit__()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with served.connect() as extra:
                extra.send(GET)
                if extra.answer().status == 200:
                    break
        else:
            pytest.fail("the room of a closed connection was not used again")
        for client in clients:
            client.__exit__()


def test_a_flood_of_connections_beyond_the_limit_does_not_pile_up() -> None:
    with serving(limits=Limits(max_connections=3)) as served:
        flood = [served.connect() for _ in range(400)]
        time.sleep(0.2)
        assert served.server.connections <= 3 + 128 + 10
        for client in flood:
            client.__exit__()


def test_a_taken_port_is_refused_by_name_even_to_ourselves() -> None:
    (first,) = bind("127.0.0.1", 0, 1)
    port = first.getsockname()[1]
    with first, pytest.raises(OSError, match=f"127.0.0.1 port {port}: something already listens"):
        bind("127.0.0.1", port, 2)


def test_the_sockets_of_one_port_share_its_connections() -> None:
    sockets = bind("127.0.0.1", 0, 2)
    port = sockets[0].getsockname()[1]
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
    accepted = [0, 0]
    for number, listening in enumerate(sockets):
        while True:
            try:
                arrived, _ = listening.accept()
            except BlockingIOError:
                break
            arrived.close()
            accepted[number] += 1
    assert sum(accepted) == 64
    assert min(accepted) > 5
    for each in (*clients, *sockets):
        each.close()


def test_an_address_of_others_is_refused_by_name() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1 port 1"):
        bind("192.0.2.1", 1, 1)
