"""Clients that are slow or silent: each wait has an end, and a fast client never meets it."""

import socket
import time
from dataclasses import replace

import pytest

from loopback import PATIENCE, Served, serving
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Response

LONG = Limits(
    header_timeout=PATIENCE,
    body_timeout=PATIENCE,
    keep_alive=PATIENCE,
    write_timeout=PATIENCE,
    linger=PATIENCE,
)
SHORT = 0.2
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def drip(served: Served, stream: bytes) -> tuple[int, str, bool]:
    """Send bytes one by one until the server answers."""
    with served.connect() as client:
        client.sock.settimeout(0.01)
        for byte in stream * 100:
            client.send(bytes((byte,)))
            try:
                if client.sock.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        client.sock.settimeout(PATIENCE)
        answer = client.answer()
        return answer.status, answer.json["reason"], client.at_end()


def test_a_silent_new_connection_is_closed_without_a_word() -> None:
    with (
        serving(limits=replace(LONG, header_timeout=SHORT)) as served,
        served.connect() as client,
    ):
        assert client.at_end()


@pytest.mark.parametrize("stream", [b"GET / HT", b"GET / HTTP/1.1\r\n", GET[:-2], GET[:-1]])
def test_headers_that_stop_are_refused(stream: bytes) -> None:
    with (
        serving(limits=replace(LONG, header_timeout=SHORT)) as served,
        served.connect() as client,
    ):
        client.send(stream)
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (408, "RequestTimeout")
        assert "--header-timeout" in answer.json["error"]
        assert client.at_end()


def test_dripped_headers_are_refused_however_steady() -> None:
    with serving(limits=replace(LONG, header_timeout=SHORT)) as served:
        stream = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 90
        assert drip(served, stream) == (408, "RequestTimeout", True)


def test_dripped_headers_of_a_second_request_are_refused() -> None:
    with (
        serving(limits=replace(LONG, header_timeout=SHORT)) as served,
        served.connect() as client,
    ):
        client.send(GET + GET[:5])
        assert [client.answer().status for _ in range(2)] == [200, 408]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10000\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"]
)
def test_a_body_that_stops_is_refused(framing: bytes) -> None:
    with (
        serving(limits=replace(LONG, body_timeout=SHORT)) as served,
        served.connect() as client,
    ):
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (408, "RequestTimeout")
        assert "--body-timeout" in answer.json["error"]
        assert client.at_end()


def test_a_dripped_body_is_refused_however_steady() -> None:
    with serving(limits=replace(LONG, body_timeout=SHORT)) as served, served.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(10):
            client.send(b"a")
            time.sleep(SHORT / 5)
        assert client.answer().status == 408


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(limits=replace(LONG, keep_alive=SHORT)) as served, served.connect() as client:
        client.send(GET)
        assert client.answer().status == 200
        assert client.at_end()


def test_empty_lines_do_not_keep_an_idle_connection() -> None:
    with serving(limits=replace(LONG, header_timeout=SHORT)) as served, served.connect() as client:
        for _ in range(10):
            client.send(b"\r\n")
            time.sleep(SHORT / 5)
        assert client.at_end()


def test_a_slow_handler_is_not_the_clients_fault() -> None:
    limits = replace(LONG, header_timeout=SHORT, body_timeout=SHORT, keep_alive=SHORT)
    replies = []
    with (
        serving(lambda _, reply: replies.append(reply), limits) as served,
        served.connect() as client,
    ):
        client.send(GET)
        time.sleep(4 * SHORT)
        served.call(lambda: replies.pop()(Response(200, b"at last")))
        assert client.answer().body == b"at last"


def test_a_loop_that_was_held_up_is_not_the_clients_fault() -> None:
    limits = replace(LONG, header_timeout=2.0, body_timeout=2.0)
    with serving(limits=limits) as served, served.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        client.send(b"")
        time.sleep(0.1)
        served.call(lambda: time.sleep(2.5))
        client.send(b"llo")
        assert client.answer().status == 200


def test_a_client_that_never_reads_is_dropped() -> None:
    big = Response(200, b"a" * 20_000_000)
    limits = replace(LONG, write_timeout=SHORT)
    with serving(lambda _, reply: reply(big), limits) as served, served.connect() as client:
        client.send(GET * 100)
        deadline = time.monotonic() + PATIENCE
        while served.server.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not served.server.connections
        assert len(served.requests) <= LONG.max_pipelined, "it is not read while it does not read"


def test_a_client_that_reads_slowly_gets_everything() -> None:
    body = b"a" * 3_000_000
    with (
        serving(lambda _, reply: reply(Response(200, body)), LONG) as served,
        served.connect() as client,
    ):
        client.send(GET * 3)
        for _ in range(3):
            client.opening()
            got = 0
            while got < len(body):
                got += len(client.pipe(min(100_000, len(body) - got)))
                time.sleep(0.001)


def test_a_client_that_does_not_close_after_the_last_answer_is_dropped() -> None:
    with serving(limits=replace(LONG, linger=SHORT)) as served, served.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().status == 400
        deadline = time.monotonic() + PATIENCE
        while served.server.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not served.server.connections


def test_a_client_that_sends_for_ever_after_the_last_answer_is_dropped() -> None:
    with serving(limits=replace(LONG, max_body=10_000)) as served, served.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.sock.sendall(bytes(50_000_000))
