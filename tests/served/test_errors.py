"""Every reason of the error table, over a real socket: what a client is told, and what follows."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_engines import HOST, Engine, Workshop, running
from loopback import Answer, Client
from records import get, post, row
from refusal_cases import (
    CASES,
    CLIENT_TIMEOUT,
    GOOD,
    GOOD_ROW,
    MAX_BODY,
    MAX_ROWS,
    MODEL_TIMEOUT,
    Case,
    body,
    chunked,
    padded,
)
from served_models import TROUBLE, failing, hanging, scaled, typed
from tiltyard_api.reasons import STATUS_OF, Reason
from waiting import eventually

pytestmark = pytest.mark.served

GRACE = 4
SECONDS = 15.0
"""Within this every refusal comes that need not wait for a client or a model: at once, on a machine
that is not busy with other tests."""


R = Reason
ELSEWHERE = {
    R.REQUEST_TIMEOUT,
    R.MODEL_TIMEOUT,
    R.OVERLOADED,
    R.DRAINING,
    R.NOT_READY,
}
"""Reasons that need more than one request, and have a test of their own below."""

OF_FEEDBACK = {
    R.MALFORMED_ID,
    R.WRONG_TOKEN,
    R.UNKNOWN_METRIC,
    R.ROW_NEEDS_OWN_ID,
    R.CLOCK_AHEAD,
    R.TOO_OLD,
    R.DUPLICATE,
}
"""Reasons of feedback alone: `test_feedback_refused.py` sends it."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    workshop = Workshop(tmp_path_factory.mktemp("errors"))
    one = [{"name": "only", "model": "bad"}]
    variants = [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]
    key = {"field": "user", "missing": "reject"}
    split = [{"name": "price", "split": {"hashKey": key, "variants": variants}}]
    pipelines = [
        workshop.compile("typed", {"good": typed()}, [{"name": "only", "model": "good"}]),
        workshop.compile("keyed", {"a": scaled(1), "b": scaled(2)}, split),
        workshop.compile("failing", {"bad": failing()}, one),
        workshop.compile("hanging", {"bad": hanging()}, one, bad={"timeout": "300ms"}),
    ]
    flags = [
        *("--max-body", str(MAX_BODY), "--max-rows", str(MAX_ROWS)),
        *("--header-timeout", "400ms", "--body-timeout", "400ms"),
    ]
    with running(workshop, *pipelines, flags=flags) as started:
        yield started


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with engine.connect() as connection:
        yield connection


def check(answer: Answer, reason: Reason, *says: str) -> dict[str, Any]:
    """Check the form of a refusal; gives its body."""
    told: dict[str, Any] = answer.json
    assert answer.status == STATUS_OF[reason] == told["code"], told
    assert told["reason"] == reason, told
    assert told["status"] == "error"
    assert told["source"] == "engine"
    assert answer.headers["Content-Type"] == "application/json"
    assert ("Retry-After" in answer.headers) == (answer.status == 503)
    for part in says:
        assert part in told["error"]
    assert len(told["error"]) < 600, "a message is for people"
    assert set(told) <= {"code", "status", "error", "source", "reason", "field", "row"}
    return told


def check_goes_on(client: Client) -> None:
    """Check that the connection serves the next request."""
    client.send(GOOD)
    assert row(client.answer())["out"]["y"] == [GOOD_ROW["number"]]


def check_closes(client: Client, answer: Answer) -> None:
    """Check that the connection ends as it said it would."""
    assert answer.headers["Connection"] == "close"
    assert client.at_end()


def test_every_reason_has_a_case() -> None:
    assert {case.reason for case in CASES} | ELSEWHERE | OF_FEEDBACK == set(Reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}: {case.name}")
def test_a_refusal_says_what_is_wrong_and_harms_nobody_after(case: Case, client: Client) -> None:
    start = time.monotonic()
    client.send(case.request)
    answer = client.answer()
    assert time.monotonic() - start < SECONDS
    told = check(answer, case.reason, *case.says)
    assert told.get("field") == case.field
    assert told.get("row") == case.row
    assert case.headers.items() <= answer.headers.items()
    if case.closes:
        check_closes(client, answer)
    else:
        check_goes_on(client)


PARSED = {
    "length": (body(b"", Content_Length=str(10**12)), R.BODY_TOO_LARGE),
    "chunks": (chunked(padded(MAX_BODY + 1)), R.BODY_TOO_LARGE),
    "gzip": (body(b"[]", Content_Encoding="gzip"), R.MALFORMED_BODY),
    "encoding": (body(b"[]", Content_Encoding="br"), R.UNSUPPORTED_MEDIA_TYPE),
    "target": (GOOD.replace(b" HTTP", b"?" + b"a" * 9000 + b" HTTP", 1), R.URI_TOO_LONG),
    "headers": (body(b"[]", X_Long="h" * 40_000), R.HEADERS_TOO_LARGE),
    "many headers": (body(b"[]", **{f"X_{n}": "v" for n in range(101)}), R.HEADERS_TOO_LARGE),
    "no head": (GOOD.replace(b"Host", b"Host Host", 1), R.MALFORMED_BODY),
    "absolute": (
        GOOD.replace(b" /", b" http://t/", 1).replace(b"HTTP/1.1", b"HTTP/2.0", 1),
        R.MALFORMED_BODY,
    ),
    "bad chunks": (chunked(b"[]").replace(b"\r\n2\r\n", b"\r\nz\r\n"), R.MALFORMED_BODY),
    "late headers": (GOOD[:60], R.REQUEST_TIMEOUT),
    "late body": (GOOD[:-5], R.REQUEST_TIMEOUT),
}
"""What the server refuses before any protocol is asked."""


@pytest.mark.parametrize("case", PARSED)
@pytest.mark.parametrize("path", [b"/endpoints/typed/invocations", b"/v2/models/typed/infer"])
def test_what_the_server_itself_refuses_has_the_form_of_its_path(
    client: Client, path: bytes, case: str
) -> None:
    request, reason = PARSED[case]
    client.send(request.replace(b"/pipelines/typed", path, 1))
    answer = client.answer()
    told = answer.json
    assert (answer.status, told["reason"]) == (STATUS_OF[reason], reason)
    if path.startswith(b"/v2"):
        assert told["error"]
    else:
        assert answer.headers["x-amzn-ErrorType"] == "ValidationError"
        assert told["message"]
        assert "error" not in told


@pytest.mark.parametrize("request_bytes", [body(padded(MAX_BODY)), chunked(padded(MAX_BODY))])
def test_a_body_of_exactly_the_limit_is_taken(client: Client, request_bytes: bytes) -> None:
    client.send(request_bytes)
    assert client.answer().status == 200


def test_as_many_rows_as_the_limit_are_taken(client: Client) -> None:
    client.send(post([GOOD_ROW] * MAX_ROWS, "typed"))
    assert len(client.answer().json) == MAX_ROWS


def test_refusals_in_a_pipeline_stay_in_order(client: Client) -> None:
    kept = [case for case in CASES if not case.closes]
    client.send(b"".join(part for case in kept[:14] for part in (case.request, GOOD)))
    for case in kept[:14]:
        check(client.answer(), case.reason)
        assert client.answer().status == 200


def test_the_refusal_of_a_head_request_has_no_body(client: Client) -> None:
    client.send(get("/nowhere", "HEAD"))
    answer = client.answer(bodiless=True)
    assert (answer.status, answer.body) == (404, b"")
    check_goes_on(client)


def test_a_request_id_comes_back_with_a_refusal(client: Client) -> None:
    client.send(post([], "typed", {"X-Request-Id": "abc"}))
    assert client.answer().headers["X-Request-Id"] == "abc"


@pytest.mark.parametrize(
    ("beginning", "flag"),
    [
        (b"POST /pipelines/typed HTTP/1.1\r\nHost:", "--header-timeout"),
        (GOOD[:-5], "--body-timeout"),
        (chunked(padded(100))[:-5], "--body-timeout"),
    ],
)
def test_half_a_request_is_given_up_after_its_time(
    client: Client, beginning: bytes, flag: str
) -> None:
    start = time.monotonic()
    client.send(beginning)
    answer = client.answer()
    assert CLIENT_TIMEOUT <= time.monotonic() - start < CLIENT_TIMEOUT + SECONDS
    check(answer, R.REQUEST_TIMEOUT, flag, "send faster")
    check_closes(client, answer)


def test_a_model_that_hangs_is_ended_at_its_timeout(client: Client) -> None:
    start = time.monotonic()
    client.send(post([{"x": TROUBLE}], "hanging"))
    answer = client.answer()
    assert MODEL_TIMEOUT <= time.monotonic() - start < MODEL_TIMEOUT + SECONDS
    check(answer, R.MODEL_TIMEOUT, "step 'only'", "model 'bad'", "0.3 s", "smaller batch")
    assert answer.headers["X-Tiltyard-Inference-Id"]
    check_goes_on(client)


def test_what_is_beyond_the_requests_in_flight_is_shed_at_once(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    models = {"bad": hanging()}
    steps = [{"name": "only", "model": "bad"}]
    pipeline = workshop.compile("patient", models, steps, bad={"timeout": "2s"})
    with running(workshop, pipeline, flags=["--max-in-flight", "2"]) as engine:
        busy, client = [engine.connect() for _ in range(2)], engine.connect()
        for one in busy:
            one.send(post([{"x": TROUBLE}], "patient"))
        eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 2)
        start = time.monotonic()
        client.send(post([{"x": 1}], "patient"))
        answer = client.answer()
        assert time.monotonic() - start < SECONDS
        check(answer, R.OVERLOADED, "2 requests are in flight", "--max-in-flight", "come back")
        assert answer.headers["Retry-After"] == "1"
        client.send(get("/pipelines"))
        assert client.answer().status == 200, "what runs no model is not shed"
        for one in busy:
            check(one.answer(), R.MODEL_TIMEOUT)
        client.send(post([{"x": 1}], "patient"))
        assert row(client.answer())["out"] == {"y": [1.0]}


def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("typed", {"good": typed()}, [{"name": "only", "model": "good"}])
    with running(workshop, pipeline, flags=["--max-connections", "1"]) as engine:
        first, second = engine.connect(), engine.connect()
        check_goes_on(first)
        answer = second.answer()
        check(answer, R.OVERLOADED, "1 connections", "--max-connections")
        check_closes(second, answer)
        check_goes_on(first)


def test_management_refuses_in_the_same_form(engine: Engine) -> None:
    with engine.connect_management() as client:
        for request, reason, says in (
            (get("/"), R.UNKNOWN_PATH, "/readyz"),
            (get("/metrics", "POST"), R.METHOD_NOT_ALLOWED, "takes GET and HEAD"),
            (get("/readyz"), None, ""),
        ):
            client.send(request)
            answer = client.answer()
            if reason is None:
                assert (answer.status, answer.body) == (200, b"ok\n")
            else:
                check(answer, reason, says)
                assert reason is not R.METHOD_NOT_ALLOWED or answer.headers["Allow"] == "GET, HEAD"


def test_who_drains_is_not_ready_and_refuses_what_comes_too_late(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("typed", {"good": typed()}, [{"name": "only", "model": "good"}])
    with running(workshop, pipeline, flags=["--grace", f"{GRACE}s"]) as engine:
        early, late = engine.connect(), engine.connect()
        for client in (early, late):
            client.send(GOOD[:-5])
        check_goes_on(engine.connect())
        engine.process.send_signal(signal.SIGTERM)
        eventually(lambda: engine.ask("/readyz")[0] == 503)
        with engine.connect_management() as management:
            management.send(get("/readyz"))
            check(management.answer(), R.NOT_READY, "workers not serving", "ask again")
            management.send(get("/livez"))
            assert management.answer().status == 200, "a restart would lose what is in flight"
        eventually(lambda: refuses_connections(engine.port))
        early.send(GOOD[-5:])
        answer = early.answer()
        assert answer.status == 200, "it was on the wire before we closed"
        check_closes(early, answer)
        time.sleep(GRACE / 2)  # nothing to be seen tells that half the grace is over
        late.send(GOOD[-5:])
        answer = late.answer()
        check(answer, R.DRAINING, "shutting down", "send it to another")
        check_closes(late, answer)
        assert engine.process.wait(GRACE) == 0


def refuses_connections(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except ConnectionError:
        return True
    return False
