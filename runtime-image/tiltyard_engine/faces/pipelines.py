"""The face of `POST /pipelines/NAME`: pandas-style records in and out."""

import json
import time
from collections.abc import Sequence

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.answers import AnswersWriter
from tiltyard_engine.codecs.echo import Echo
from tiltyard_engine.codecs.records import RecordsReader
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import Asked, Page, answer_headers, request_id
from tiltyard_engine.faces.wishes import read_wishes
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.problem import JSON, problem
from tiltyard_engine.sizes import Sizes

CLIENT_ID = b"x-tiltyard-inference-id"
MAX_CLIENT_ID = 64


class Detail(msgspec.Struct):
    """What the answer depends on besides the outputs."""

    echo: Echo
    selection: Selection


class PipelinesFace:
    """Records of one Pipeline."""

    protocol = "records"

    def __init__(self, plan: Plan, paths: Sequence[str], partition: str, sizes: Sizes) -> None:
        self.paths = tuple(paths)
        self._reader = RecordsReader(plan, sizes.rows, sizes.depth)
        self._writer = AnswersWriter(plan, partition)

    def read(self, request: Request) -> Asked:
        """Decode records."""
        headers = request.headers
        wishes = read_wishes(
            request.query,
            headers.get(b"content-type", b""),
            headers.get(b"accept", b""),
            headers.get(b"x-tiltyard-variant", b""),
        )
        decoded = self._reader.read(request.body)
        return Asked(
            decoded.rows,
            decoded.tensors,
            decoded.fields,
            wishes.pins,
            _client_id(headers.get(CLIENT_ID)),
            Detail(Echo(request.body, decoded.rows, decoded.plain), wishes.selection),
        )

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode records."""
        detail = asked.detail
        if not isinstance(detail, Detail):
            raise TypeError("the request was read by another face")
        now = time.time_ns() // 1_000_000
        body = self._writer.write(call, detail.echo, now, detail.selection)
        return Response(200, body, JSON + answer_headers(call, request))

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Answer with the error body of the data port."""
        return problem(refusal, answer_headers(call, request) if call else request_id(request))


def listings(plans: Sequence[Plan]) -> dict[str, Page]:
    """What is loaded, for people and older clients."""
    pipelines = [{"id": p.pipeline, "version": p.version, "status": "Running"} for p in plans]
    models = [
        {"name": m.name, "version": m.version, "sha": m.digest, "status": "Running"}
        for plan in plans
        for m in plan.models
    ]
    return {
        "/pipelines": lambda: _json({"pipelines": pipelines}),
        "/models": lambda: _json({"models": models}),
    }


def _json(value: object) -> Response:
    return Response(200, json.dumps(value).encode(), JSON)


def _client_id(header: bytes | None) -> str | None:
    if header is None:
        return None
    if not 0 < len(header) <= MAX_CLIENT_ID:
        raise Refusal(
            Reason.UNKNOWN_PARAMETER,
            f"X-Tiltyard-Inference-Id has {len(header)} characters: send 1 to {MAX_CLIENT_ID}",
            field="X-Tiltyard-Inference-Id",
        )
    return header.decode("latin-1")
