"""The face of `POST /pipelines/NAME`: rows in and out, in the formats that a client names."""

import json
import time
from collections.abc import Sequence
from functools import lru_cache, partial

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.base import Codec, Sent
from tiltyard_engine.codecs.formats import Format
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import (
    Area,
    Asked,
    Page,
    Routes,
    Site,
    answer_headers,
    request_id,
)
from tiltyard_engine.faces.headers import client_id
from tiltyard_engine.faces.variants import REMEMBERED, VARIANT
from tiltyard_engine.faces.wishes import DEFAULT, read_wishes
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.openapi.records import operations
from tiltyard_engine.problem import JSON, problem


class Detail(msgspec.Struct):
    """What the answer depends on besides the outputs."""

    codec: Codec
    sent: Sent
    selection: Selection


class PipelinesFace:
    """Rows of one Pipeline."""

    protocol = "records"

    def __init__(self, plan: Plan, paths: Sequence[str], site: Site) -> None:
        self.paths = tuple(paths)
        self._made_of = (plan, site.partition, site.sizes)
        self._formats: Sequence[Format] = site.formats
        self._codecs: list[Codec | None] = [None] * len(site.formats)
        self._wishes = lru_cache(REMEMBERED)(partial(read_wishes, site.formats))
        """Clients repeat theirs, so that this is mostly one look-up."""
        self._codec(DEFAULT)

    def read(self, request: Request) -> Asked:
        """Decode rows."""
        headers = request.headers
        wishes = self._wishes(
            request.query,
            headers.get(b"content-type", b""),
            headers.get(b"accept", b""),
            headers.get(VARIANT, b""),
        )
        writer = self._codec(wishes.wanted)  # first: nothing runs whose answer cannot be written
        taken = self._codec(wishes.sent).read(request.body)
        return Asked(
            taken.rows,
            taken.tensors,
            taken.fields,
            wishes.pins,
            client_id(headers),
            Detail(writer, taken.sent, wishes.selection),
        )

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode rows."""
        detail = asked.detail
        if not isinstance(detail, Detail):
            raise TypeError("the request was read by another face")
        now = time.time_ns() // 1_000_000
        body = detail.codec.write(call, detail.sent, now, detail.selection)
        return Response(200, body, detail.codec.header + answer_headers(call, request))

    def _codec(self, index: int) -> Codec:
        """Give a format's codec, opened when it is first asked for."""
        codec = self._codecs[index]
        if codec is None:
            codec = self._codecs[index] = self._formats[index].open(*self._made_of)
        return codec

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Answer with the error body of the data port."""
        return problem(refusal, answer_headers(call, request) if call else request_id(request))


def mount(routes: Routes, site: Site) -> None:
    """Serve every Pipeline below its name, and the only one by a short path."""
    for one in site.pipelines:
        paths = [f"/pipelines/{one.plan.pipeline}", *(["/infer"] if site.alone else [])]
        routes.add(PipelinesFace(one.plan, paths, site), one)
    plans = site.by_path("/pipelines/{}", "/infer")
    routes.operations.append(lambda: operations(plans, site.formats))
    routes.pages |= listings([one.plan for one in site.pipelines])
    routes.areas.append(
        Area(
            "",
            lambda path: _unknown(path, site.names),
            lambda refusal, request: problem(refusal, request_id(request)),
        )
    )


def _unknown(path: str, there: str) -> Refusal:
    if path.startswith("/pipelines/"):
        name = path.removeprefix("/pipelines/")
        return Refusal(
            Reason.UNKNOWN_PIPELINE, f"no Pipeline {name!r} here (there: {there}): correct it"
        )
    if path == "/infer":
        return Refusal(
            Reason.UNKNOWN_PIPELINE,
            f"/infer needs a single Pipeline: POST to /pipelines/NAME (there: {there})",
        )
    return Refusal(
        Reason.UNKNOWN_PATH,
        f"nothing at {path}: POST /pipelines/NAME, GET /pipelines or GET /models",
    )


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
