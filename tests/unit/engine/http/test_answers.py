"""What goes out: headers of the server's own, order, and what becomes of failures."""

import threading
from email.utils import parsedate_to_datetime
from time import time

import pytest

from loopback import serving
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Reply, Request, Response

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


def test_answers_carry_date_and_length_and_the_headers_given() -> None:
    with (
        serving(lambda _, reply: reply(Response(200, b"hi", b"A: b\r\n"))) as served,
        served.connect() as client,
    ):
        client.send(GET % b"")
        answer = client.answer()
    assert answer.body == b"hi"
    date = answer.headers.pop("Date")
    assert abs(parsedate_to_datetime(date).timestamp() - time()) < 10
    assert answer.headers == {"Content-Length": "2", "A": "b"}


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000, 10_000_000])
def test_bodies_of_any_size_go_out(size: int) -> None:
    body = bytes(i % 256 for i in range(1000)) * (size // 1000) + b"a" * (size % 1000)
    with serving(lambda _, reply: reply(Response(200, body))) as served, served.connect() as client:
        client.send(GET % b"" * 2)
        assert client.answer().body == body
        assert client.answer().body == body


def test_the_answer_to_head_has_the_length_and_not_the_body() -> None:
    with serving(lambda _, reply: reply(Response(200, b"hello"))) as served:
        with served.connect() as client:
            client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + GET % b"")
            answer = client.answer(bodiless=True)
            assert (answer.status, answer.headers["Content-Length"]) == (200, "5")
            assert client.answer().body == b"hello"
        assert [request.method for request in served.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_neither_body_nor_length(status: int) -> None:
    with (
        serving(lambda _, reply: reply(Response(status, b""))) as served,
        served.connect() as client,
    ):
        client.send(GET % b"" * 2)
        for _ in range(2):
            answer = client.answer()
            assert (answer.status, answer.headers.get("Content-Length")) == (status, None)


def test_a_status_nobody_knows_goes_out() -> None:
    with serving(lambda _, reply: reply(Response(299, b""))) as served, served.connect() as client:
        client.send(GET % b"")
        assert client.answer().status == 299


IN_1_1 = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n"
IN_1_0 = b"GET / HTTP/1.0\r\n%b\r\n"
PERSISTENCE = {
    "1.1": (IN_1_1 % b"", None),
    "1.1 that says keep-alive": (IN_1_1 % b"Connection: keep-alive\r\n", None),
    "1.1 that says close": (IN_1_1 % b"Connection: Close\r\n", "close"),
    "1.1 that says close among others": (IN_1_1 % b"Connection: a, close\r\n", "close"),
    "1.1 that says both": (IN_1_1 % b"Connection: keep-alive, close\r\n", "close"),
    "1.1 in two lines": (IN_1_1 % b"Connection: a\r\nConnection: close\r\n", "close"),
    "1.0": (IN_1_0 % b"", "close"),
    "1.0 that says keep-alive": (IN_1_0 % b"Connection: Keep-Alive\r\n", "keep-alive"),
}


@pytest.mark.parametrize("name", PERSISTENCE)
def test_the_connection_stays_or_ends_as_the_client_asks(name: str) -> None:
    stream, said = PERSISTENCE[name]
    with serving() as served, served.connect() as client:
        client.send(stream)
        assert client.answer().headers.get("Connection") == said
        if said == "close":
            client.send(GET % b"")
            assert client.at_end()
            assert len(served.requests) == 1
        else:
            client.send(GET % b"")
            assert client.answer().status == 200


def test_a_handler_that_raises_gives_a_500_without_details_and_is_logged_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def handler(request: Request, reply: Reply) -> None:
        if request.path == "/bad":
            raise ValueError("secret")
        reply(Response(200, b""))

    with serving(handler) as served, served.connect() as client:
        client.send(GET % b"bad" + GET % b"good")
        answer = client.answer()
        assert (answer.status, answer.json["reason"]) == (500, "ModelFailed")
        assert b"secret" not in answer.body
        assert client.answer().status == 200
    assert capfd.readouterr().err.count("ValueError: secret") == 1


def test_a_handler_that_raises_after_its_answer_is_logged_and_answered_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def handler(_: Request, reply: Reply) -> None:
        reply(Response(200, b"fine"))
        raise ValueError("too late")

    with serving(handler) as served, served.connect() as client:
        client.send(GET % b"" * 2)
        assert [client.answer().body for _ in range(2)] == [b"fine", b"fine"]
    assert capfd.readouterr().err.count("ValueError: too late") == 2


def test_answering_twice_is_an_error_of_the_handler(capfd: pytest.CaptureFixture[str]) -> None:
    def handler(_: Request, reply: Reply) -> None:
        reply(Response(200, b"one"))
        reply(Response(200, b"two"))

    with serving(handler) as served, served.connect() as client:
        client.send(GET % b"" * 2)
        assert [client.answer().body for _ in range(2)] == [b"one", b"one"]
    assert "answered twice" in capfd.readouterr().err


def test_an_answer_for_a_client_that_is_gone_is_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    replies: list[Reply] = []
    came = threading.Event()

    def handler(_: Request, reply: Reply) -> None:
        replies.append(reply)
        came.set()

    with serving(handler, Limits(linger=0.2)) as served:
        with served.connect() as client:
            client.send(GET % b"")
            assert came.wait(20)
        for reply in replies:
            served.call(lambda reply=reply: reply(Response(200, b"a" * 10_000_000)))
        served.call(served.server.stop_accepting)
        assert served.finished(20)
    assert capfd.readouterr().err == ""
