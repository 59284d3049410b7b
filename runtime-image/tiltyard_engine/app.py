"""The data port: leads requests to faces, calls to the scheduler. No inference happens here."""

import asyncio
import itertools
import secrets
import time
from functools import partial

from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call
from tiltyard_engine.counters import Block
from tiltyard_engine.errors import Refusal, internal_failure
from tiltyard_engine.faces.base import Asked, Face, Routes
from tiltyard_engine.http.message import Reply, Request, Response
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.record import NoPipelineRecorder
from tiltyard_engine.scheduler import Scheduler


class App:
    """Answers the requests of one worker."""

    def __init__(
        self,
        routes: Routes,
        scheduler: Scheduler,
        loop: asyncio.AbstractEventLoop,
        block: Block,
        max_in_flight: int,
    ) -> None:
        self._routes = routes
        self._scheduler = scheduler
        self._loop = loop
        self._recorder = NoPipelineRecorder(block)
        self._words = block.words
        self._in_flight = block.offset("tiltyard_in_flight_requests")
        self._words[self._in_flight] = 0
        self._max_in_flight = max_in_flight
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._draining = False

    def drain(self) -> None:
        """Refuse inference from now on."""
        self._draining = True

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, now or when its models have run."""
        target = self._routes.infer.get(request.path)
        if target is not None and request.method == "POST":
            self.infer(*target, request, reply)
            return
        action = self._routes.actions.get(request.path)
        if action is not None and request.method == "POST":
            action(request, partial(self._done, reply))
            return
        try:
            response = self._page(request)
        except Refusal as refusal:
            response = self._routes.area(request.path).refuse(refusal, request)
            response.headers += self._allow(request.path, refusal)
        self._recorder.answered(response.status)
        reply(response)

    def _done(self, reply: Reply, response: Response) -> None:
        """Answer what is of no Pipeline by its path."""
        self._recorder.answered(response.status)
        reply(response)

    def refuse(self, refusal: Refusal, request: Request) -> Response:
        """Answer what the HTTP parser itself would not take, in the form that its path asks for."""
        response = self._routes.area(request.path).refuse(refusal, request)
        self._recorder.answered(response.status)
        return response

    def count_stray(self, status: int, protocol: str) -> None:
        """Count what another transport refused before it knew a Pipeline."""
        self._recorder.answered(status, protocol)

    def infer(
        self, face: Face, pipeline: ServedPipeline, request: Request, reply: Reply
    ) -> Call | None:
        """Decode a request and hand it to the scheduler.

        Returns:
            The call. Who need not have it any more refuses it, and what has not run will not.

        """
        started = time.perf_counter_ns()
        try:
            self._admit()
            asked = face.read(request)
            if asked.pins:
                pipeline.plane.check_pins(asked.pins)
        except Refusal as refusal:
            response = face.refuse(refusal, request, None)
            pipeline.recorder.refused(response.status, face.protocol)
            reply(response)
            return None
        call = Call(
            asked.rows,
            asked.tensors,
            asked.fields,
            request.headers,
            identity=asked.identity,
            pins=asked.pins,
            inference_id=f"{self._prefix}{next(self._numbers):x}",
            parsed=time.perf_counter_ns() - started,
        )

        def finish(_call: Call) -> None:
            response = _answer(face, pipeline, call, asked, request)
            reply(response)
            if pipeline.assigning:
                pipeline.assigning.count(call)
            self._words[self._in_flight] -= 1
            seconds = (time.perf_counter_ns() - started) / 1e9
            pipeline.recorder.answered(call, response.status, seconds, face.protocol)
            if call.mirrors or pipeline.recording is not None:
                pause = pipeline.hold(call, len(request.body))
                if pause is not None:
                    self._loop.call_later(pause, pipeline.flush)

        self._words[self._in_flight] += 1
        self._scheduler.submit(pipeline.plane, call, finish)
        return call

    def _admit(self) -> None:
        """Shed what would only pile up.

        Raises:
            Refusal: Overloaded or Draining.

        """
        if self._draining:
            raise Refusal(Reason.DRAINING, "this engine is shutting down: send it to another")
        if self._words[self._in_flight] >= self._max_in_flight:
            raise Refusal(
                Reason.OVERLOADED,
                f"{self._max_in_flight} requests are in flight: come back in a second, or raise"
                " --max-in-flight",
            )

    def _page(self, request: Request) -> Response:
        page = self._routes.pages.get(request.path)
        if page and request.method in ("GET", "HEAD"):
            return page()
        if page or request.path in self._routes.infer or request.path in self._routes.actions:
            allowed = "GET and HEAD" if page else "POST"
            raise Refusal(
                Reason.METHOD_NOT_ALLOWED, f"{request.path} takes {allowed}, not {request.method}"
            )
        raise self._routes.area(request.path).unknown(request.path)

    def _allow(self, path: str, refusal: Refusal) -> bytes:
        if refusal.reason is not Reason.METHOD_NOT_ALLOWED:
            return b""
        return b"Allow: GET, HEAD\r\n" if path in self._routes.pages else b"Allow: POST\r\n"


def _answer(
    face: Face, pipeline: ServedPipeline, call: Call, asked: Asked, request: Request
) -> Response:
    """Answer even where an answer cannot be written: nobody may be left waiting."""
    try:
        if call.refusal is None:
            if pipeline.assigning:
                pipeline.assigning.name(call)
            return face.answer(call, asked, request)
    except Refusal as refusal:  # the protocol has no form for what the models gave
        call.refusal = refusal
    except Exception as error:  # noqa: BLE001 - the last frame that knows who waits
        call.refusal = internal_failure(error)
    return face.refuse(call.refusal, request, call)
