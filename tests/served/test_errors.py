"""Every reason of the error table, over a real socket: what a client is told, and what follows."""

import dataclasses
import gzip
import json
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bare_engines import HOST, Engine, Workshop, eventually, running
from loopback import Answer, Client
from records import get, post, row
from served_models import TROUBLE, failing, hanging, scaled, typed
from tiltyard_api.reasons import STATUS_OF, Reason

pytestmark = pytest.mark.served

MAX_BODY = 8192
MAX_ROWS = 8
MODEL_TIMEOUT = 0.3
CLIENT_TIMEOUT = 0.4
GRACE = 4
SECONDS = 1.0
"""Within this every refusal comes that need not wait for a client or a model."""

GOOD_ROW = {"number": 1.5, "whole": 2, "small": 3, "three": [1.0, 2.0, 3.0]}
GOOD = post([GOOD_ROW], "typed")


@dataclass(frozen=True)
class Case:
    """A request and what must come of it."""

    name: str
    reason: Reason
    request: bytes
    says: tuple[str, ...]
    """What the message must hold: the thing at fault, and the remedy."""

    field: str | None = None
    row: int | None = None
    closes: bool = False
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def wrong(**values: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """Send two rows of which the second is wrong."""
    return post([GOOD_ROW, GOOD_ROW | values], "typed")


def body(text: bytes, **headers: str) -> bytes:
    """Send a body that is written out."""
    return post(text, "typed", {name.replace("_", "-"): value for name, value in headers.items()})


def padded(length: int) -> bytes:
    """Give a good body of exactly that length."""
    return json.dumps([GOOD_ROW]).encode().ljust(length)


def chunked(content: bytes, *, size: int = 1000) -> bytes:
    """Send a body without saying its length."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = b"POST /pipelines/typed HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + b"0\r\n\r\n"


R = Reason
CASES = [
    Case("empty body", R.MALFORMED_BODY, body(b""), ("body is empty", "send a list of records")),
    Case("cut short", R.MALFORMED_BODY, body(b'[{"number": 1'), ("not JSON",)),
    Case("no list", R.MALFORMED_BODY, body(b'{"number": 1}'), ("must be a list of records",)),
    Case("no records", R.MALFORMED_BODY, body(b"[1, 2]"), ("must be a list of records",)),
    Case("trailing text", R.MALFORMED_BODY, body(b"[{}] x"), ("not JSON",)),
    Case("NaN", R.MALFORMED_BODY, body(b'[{"number": NaN}]'), ("NaN", "write null")),
    Case("not UTF-8", R.MALFORMED_BODY, body(b'[{"number": "\xff"}]'), ("not UTF-8", "encode")),
    Case(
        "a key twice",
        R.MALFORMED_BODY,
        body(json.dumps([GOOD_ROW]).replace('"whole": 2', '"whole": 2, "whole": 3').encode()),
        ("'whole'", "row 0", "keep one"),
        "whole",
        0,
    ),
    Case(
        "damaged gzip",
        R.MALFORMED_BODY,
        body(gzip.compress(padded(200))[:-9], Content_Encoding="gzip"),
        ("gzip", "send it anew"),
        "Content-Encoding",
    ),
    Case("not HTTP", R.MALFORMED_BODY, b"HELLO\r\n\r\n", ("HTTP/1.1", "closed"), closes=True),
    Case(
        "two lengths",
        R.MALFORMED_BODY,
        b"POST /infer HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        ("closed",),
        closes=True,
    ),
    Case("no rows", R.EMPTY_BATCH, body(b"[]"), ("empty", "send at least one row")),
    Case("ragged", R.RAGGED_ROWS, wrong(extra=1), ("row 1", "'extra'", "same"), "extra", 1),
    Case(
        "a column less",
        R.MISSING_COLUMN,
        post([{name: GOOD_ROW[name] for name in ("number", "whole", "three")}], "typed"),
        ("'small'", "add it"),
        "small",
        0,
    ),
    Case("a text", R.WRONG_TYPE, wrong(number="1"), ("'number'", "convert"), "number", 1),
    Case("a fraction", R.WRONG_TYPE, wrong(whole=1.5), ("'whole'", "round"), "whole", 1),
    Case("float32", R.OUT_OF_RANGE, wrong(number=1e39), ("'number'", "scale"), "number", 1),
    Case("uint8", R.OUT_OF_RANGE, wrong(small=256), ("'small'", "255"), "small", 1),
    Case(
        "5,000 digits",
        R.OUT_OF_RANGE,
        body(json.dumps([GOOD_ROW]).replace("2,", "7" * 5000 + ",", 1).encode()),
        ("too large", "fits"),
        "whole",
        0,
    ),
    Case("too short", R.SHAPE_MISMATCH, wrong(three=[1, 2]), ("'three'", "[3]"), "three", 1),
    Case("a list", R.SHAPE_MISMATCH, wrong(number=[[1]]), ("'number'", "reshape"), "number", 1),
    Case("null", R.NULL_VALUE, wrong(small=None), ("'small'", "only floats"), "small", 1),
    Case(
        "no key",
        R.HASH_KEY_MISSING,
        post([{"x": 1}], "keyed"),
        ("step 'price'", "'user'", "send it"),
        "user",
    ),
    Case(
        "key 1.5",
        R.HASH_KEY_OUT_OF_RANGE,
        post([{"x": 1, "user": 0.5}, {"x": 1, "user": 1.5}], "keyed"),
        ("1.5", "send"),
        "user",
        1,
    ),
    Case(
        "key is a list",
        R.WRONG_TYPE,
        post([{"x": 1, "user": [1]}], "keyed"),
        ("'user'", "a list", "send a text or a number"),
        "user",
        0,
    ),
    Case(
        "pin of no variant",
        R.UNKNOWN_VARIANT,
        post([{"x": 1, "user": "u"}], "keyed", {"X-Tiltyard-Variant": "price=z"}),
        ("'z'", "there: a, b", "correct"),
        "X-Tiltyard-Variant",
    ),
    Case(
        "pin of no form",
        R.UNKNOWN_VARIANT,
        post([{"x": 1, "user": "u"}], "keyed", {"X-Tiltyard-Variant": "a"}),
        ("step=model", "correct"),
        "X-Tiltyard-Variant",
    ),
    Case("deep", R.BODY_TOO_DEEP, body(b"[" * 1000 + b"]" * 1000), ("1000 deep", "flatten", "16")),
    Case(
        "query",
        R.UNKNOWN_PARAMETER,
        post([GOOD_ROW], "typed", query="?colour=red"),
        ("colour=red", "known are"),
        "colour",
    ),
    Case(
        "long id",
        R.UNKNOWN_PARAMETER,
        post([GOOD_ROW], "typed", {"X-Tiltyard-Inference-Id": "i" * 65}),
        ("65", "send 1 to 64"),
        "X-Tiltyard-Inference-Id",
    ),
    Case("no such", R.UNKNOWN_PIPELINE, post([], "tiped"), ("'tiped'", "typed", "correct")),
    Case("ambiguous", R.UNKNOWN_PIPELINE, post([], "../infer"), ("there:",)),
    Case("no path", R.UNKNOWN_PATH, get("/"), ("POST /pipelines/NAME",)),
    Case(
        "get",
        R.METHOD_NOT_ALLOWED,
        get("/pipelines/typed"),
        ("takes POST", "GET"),
        headers={"Allow": "POST"},
    ),
    Case(
        "delete",
        R.METHOD_NOT_ALLOWED,
        get("/models", "DELETE"),
        ("takes GET and HEAD", "DELETE"),
        headers={"Allow": "GET, HEAD"},
    ),
    Case(
        "accept",
        R.NOT_ACCEPTABLE,
        post([GOOD_ROW], "typed", {"Accept": "text/html"}),
        ("text/html", "accept one of application/json"),
        "Accept",
    ),
    Case(
        "one byte over",
        R.BODY_TOO_LARGE,
        body(padded(MAX_BODY + 1)),
        (str(MAX_BODY), "fewer rows", "--max-body"),
        closes=True,
    ),
    Case(
        "announced only",
        R.BODY_TOO_LARGE,
        body(b"", Content_Length=str(10**12)),
        (str(MAX_BODY), "--max-body"),
        closes=True,
    ),
    Case(
        "one byte over in chunks",
        R.BODY_TOO_LARGE,
        chunked(padded(MAX_BODY + 1)),
        (str(MAX_BODY), "--max-body"),
        closes=True,
    ),
    Case(
        "one byte over unpacked",
        R.BODY_TOO_LARGE,
        body(gzip.compress(padded(MAX_BODY + 1)), Content_Encoding="gzip"),
        (str(MAX_BODY), "--max-body"),
    ),
    Case(
        "one row over",
        R.TOO_MANY_ROWS,
        post([GOOD_ROW] * (MAX_ROWS + 1), "typed"),
        (f"{MAX_ROWS + 1} rows", f"{MAX_ROWS}", "--max-rows"),
    ),
    Case(
        "long target",
        R.URI_TOO_LONG,
        get("/" + "a" * 9000),
        ("8192", "into the body"),
        closes=True,
    ),
    Case(
        "csv",
        R.UNSUPPORTED_MEDIA_TYPE,
        body(b"a,b", Content_Type="text/csv"),
        ("text/csv", "send application/json"),
        "Content-Type",
    ),
    Case(
        "brotli",
        R.UNSUPPORTED_MEDIA_TYPE,
        body(b"...", Content_Encoding="br"),
        ("'br'", "gzip"),
        "Content-Encoding",
    ),
    Case(
        "long header",
        R.HEADERS_TOO_LARGE,
        body(b"[]", X_Long="h" * 40_000),
        ("--max-header-bytes",),
        closes=True,
    ),
    Case(
        "101 headers",
        R.HEADERS_TOO_LARGE,
        body(b"[]", **{f"X_{n}": "v" for n in range(101)}),
        ("100 headers", "send fewer"),
        closes=True,
    ),
    Case(
        "model fails",
        R.MODEL_FAILED,
        post([{"x": 1}, {"x": TROUBLE}], "failing"),
        ("step 'only'", "model 'bad'", "Gather"),
    ),
]

ELSEWHERE = {
    R.REQUEST_TIMEOUT,
    R.MODEL_TIMEOUT,
    R.OVERLOADED,
    R.DRAINING,
    R.NOT_READY,
}
"""Reasons that need more than one request, and have a test of their own below."""


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
    assert {case.reason for case in CASES} | ELSEWHERE == set(Reason)


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
