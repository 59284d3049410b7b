"""The data port: which path leads where, and what headers say. No inference happens here."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call, Served
from tiltyard_engine.codecs.echo import Echo
from tiltyard_engine.counters import Block
from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.message import Reply, Request, Response
from tiltyard_engine.pipeline import ServedPipeline, wall_clock_ms
from tiltyard_engine.problem import JSON, problem
from tiltyard_engine.record import NoPipelineRecorder
from tiltyard_engine.scheduler import Scheduler
from tiltyard_engine.wishes import read_wishes

CLIENT_ID = b"x-tiltyard-inference-id"
MAX_CLIENT_ID = 64
REQUEST_ID = b"x-request-id"
MAX_REQUEST_ID = 128
VARIANT = b"x-tiltyard-variant"


class App:
    """Answers the requests of one worker."""

    def __init__(
        self,
        pipelines: Sequence[ServedPipeline],
        scheduler: Scheduler,
        loop: asyncio.AbstractEventLoop,
        block: Block,
        max_in_flight: int,
    ) -> None:
        self._pipelines = {one.plan.pipeline: one for one in pipelines}
        self._infer = {f"/pipelines/{name}": one for name, one in self._pipelines.items()}
        if len(pipelines) == 1:
            self._infer["/infer"] = pipelines[0]
        self._listings: dict[str, Callable[[], bytes]] = {
            "/pipelines": self._list_pipelines,
            "/models": self._list_models,
        }
        self._scheduler = scheduler
        self._loop = loop
        self._recorder = NoPipelineRecorder(block)
        self._words = block.words
        self._in_flight = block.offset("tiltyard_in_flight_requests")
        self._words[self._in_flight] = 0
        self._max_in_flight = max_in_flight
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()
        self.draining = False

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, now or when its models have run."""
        pipeline = self._infer.get(request.path)
        if pipeline is not None and request.method == "POST":
            self._start(pipeline, request, reply)
            return
        try:
            response = self._listing(request)
        except Refusal as refusal:
            response = problem(refusal, _allow(refusal, self._listings, request.path))
        self._recorder.answered(response.status)
        reply(response)

    def refuse(self, refusal: Refusal) -> Response:
        """Answer what the HTTP parser itself would not take."""
        self._recorder.answered(refusal.status)
        return problem(refusal)

    def _start(self, pipeline: ServedPipeline, request: Request, reply: Reply) -> None:
        """Decode a request and hand it to the scheduler."""
        started = time.perf_counter_ns()
        headers = request.headers
        echo = _request_id(headers.get(REQUEST_ID))
        try:
            self._admit()
            wishes = read_wishes(
                request.query,
                headers.get(b"content-type", b""),
                headers.get(b"accept", b""),
                headers.get(VARIANT, b""),
            )
            if wishes.pins:
                pipeline.plane.check_pins(wishes.pins)
            decoded = pipeline.reader.read(request.body)
            call = Call(
                decoded.rows,
                decoded.tensors,
                decoded.fields,
                headers,
                identity=_client_id(headers.get(CLIENT_ID)),
                pins=wishes.pins,
                inference_id=f"{self._prefix}{next(self._numbers):x}",
                parsed=time.perf_counter_ns() - started,
            )
        except Refusal as refusal:
            pipeline.recorder.refused(refusal.status)
            reply(problem(refusal, echo))
            return

        def finish(call: Call) -> None:
            if call.refusal:
                response = problem(call.refusal, _answer_headers(call, echo))
            else:
                own = Echo(request.body, decoded.rows, decoded.plain)
                body = pipeline.writer.write(call, own, wall_clock_ms(), wishes.selection)
                response = Response(200, body, JSON + _answer_headers(call, echo))
            reply(response)
            self._words[self._in_flight] -= 1
            pipeline.recorder.answered(call, (time.perf_counter_ns() - started) / 1e9)
            if call.mirrors:
                self._mirror(pipeline, call)

        self._words[self._in_flight] += 1
        self._scheduler.submit(pipeline.plane, call, finish)

    def _mirror(self, pipeline: ServedPipeline, call: Call) -> None:
        """Let challengers see the call once this turn's answers are written."""
        if pipeline.mirror(call):
            self._loop.call_soon(pipeline.flush_mirrors)

    def _admit(self) -> None:
        """Shed what would only pile up.

        Raises:
            Refusal: Overloaded or Draining.

        """
        if self.draining:
            raise Refusal(Reason.DRAINING, "this engine is shutting down: send it to another")
        if self._words[self._in_flight] >= self._max_in_flight:
            raise Refusal(
                Reason.OVERLOADED,
                f"{self._max_in_flight} requests are in flight: come back in a second, or raise"
                " --max-in-flight",
            )

    def _listing(self, request: Request) -> Response:
        answer = self._listings.get(request.path)
        if answer and request.method in ("GET", "HEAD"):
            return Response(200, answer(), JSON)
        if answer or request.path in self._infer:
            allowed = "GET, HEAD" if answer else "POST"
            raise Refusal(
                Reason.METHOD_NOT_ALLOWED, f"{request.path} takes {allowed}, not {request.method}"
            )
        raise self._unknown(request.path)

    def _unknown(self, path: str) -> Refusal:
        names = ", ".join(self._pipelines) or "none"
        if path.startswith("/pipelines/"):
            name = path.removeprefix("/pipelines/")
            return Refusal(
                Reason.UNKNOWN_PIPELINE, f"no Pipeline {name!r} here (there: {names}): correct it"
            )
        if path == "/infer":
            return Refusal(
                Reason.UNKNOWN_PIPELINE,
                f"/infer needs a single Pipeline: POST to /pipelines/NAME (there: {names})",
            )
        return Refusal(
            Reason.UNKNOWN_PATH,
            f"nothing at {path}: POST /pipelines/NAME, GET /pipelines or GET /models",
        )

    def _list_pipelines(self) -> bytes:
        return _dump(
            {
                "pipelines": [
                    {"id": name, "version": one.plan.version, "status": "Running"}
                    for name, one in self._pipelines.items()
                ]
            }
        )

    def _list_models(self) -> bytes:
        return _dump(
            {
                "models": [
                    {"name": m.name, "version": m.version, "sha": m.digest, "status": "Running"}
                    for one in self._pipelines.values()
                    for m in one.plan.models
                ]
            }
        )


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _allow(refusal: Refusal, listings: Mapping[str, object], path: str) -> bytes:
    if refusal.reason is not Reason.METHOD_NOT_ALLOWED:
        return b""
    return b"Allow: GET, HEAD\r\n" if path in listings else b"Allow: POST\r\n"


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


def _request_id(header: bytes | None) -> bytes:
    return b"" if header is None else b"X-Request-Id: " + header[:MAX_REQUEST_ID] + b"\r\n"


def _answer_headers(call: Call, echo: bytes) -> bytes:
    served = ",".join(_served_text(step, served) for step, served in call.served.items())
    variant = f"X-Tiltyard-Variant: {served}\r\n" if served else ""
    return f"X-Tiltyard-Inference-Id: {call.inference_id}\r\n{variant}".encode() + echo


def _served_text(step: str, served: Served) -> str:
    if served.rows is None:
        return f"{step}={served.variants[0]}"
    parts = zip(served.variants, served.rows, strict=True)
    return ",".join(f"{step}={variant};rows={len(rows)}" for variant, rows in parts)
