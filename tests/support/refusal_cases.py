"""Requests that must be refused, one for each reason and more, and what must be said of each."""

import dataclasses
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from records import get, post
from served_models import TROUBLE
from tiltyard_api.reasons import Reason

MAX_BODY = 8192
MAX_ROWS = 8
MODEL_TIMEOUT = 0.3
CLIENT_TIMEOUT = 0.4

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


def wrong(**values: Any) -> bytes:
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
        ("step 'price': the hash key is missing: send the column 'user'",),
        "user",
        0,
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
