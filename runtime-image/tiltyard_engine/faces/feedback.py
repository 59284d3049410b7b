"""The face of `POST /feedback`: what came of answers, one or many at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import Routes, Site, request_id
from tiltyard_engine.feedback.taking import Feedback, Takers
from tiltyard_engine.http.message import Reply, Request, Response
from tiltyard_engine.openapi.feedback import operations
from tiltyard_engine.problem import JSON, problem

PATH = "/feedback"
MOST = 10_000
SLICE = 200
"""Pieces that are taken before others get their turn: some milliseconds."""

Many = Sequence[Feedback | Refusal]
Piece = TypeVar("Piece")


class FeedbackFace:
    """Takes feedback on the answers of all Pipelines.

    Args:
        takers: who credits it; None: no Pipeline has an experiment.

    """

    def __init__(self, takers: Takers | None) -> None:
        self._takers = takers
        self._one = msgspec.json.Decoder(Feedback)
        self._many = msgspec.json.Decoder(list[Feedback])

    def post(self, request: Request, reply: Reply) -> None:
        """Take what a request says, in slices."""
        try:
            takers = self._there()
            alone, many = self._read(request.body)
        except Refusal as refusal:
            reply(problem(refusal, request_id(request)))
            return
        outcome: list[Refusal | None] = []
        loop = asyncio.get_running_loop()

        def proceed(start: int = 0) -> None:
            outcome.extend(takers.take(many[start : start + SLICE]))
            if len(outcome) < len(many):
                loop.call_soon(proceed, start + SLICE)
            elif alone and outcome[0]:
                reply(problem(outcome[0], request_id(request)))
            else:
                reply(_taken(outcome, request))

        proceed()

    def _there(self) -> Takers:
        if self._takers is None:
            raise Refusal(
                Reason.UNKNOWN_PIPELINE,
                "no Pipeline here has an experiment: add spec.experiment to one",
            )
        return self._takers

    def _read(self, body: bytes) -> tuple[bool, Many]:
        """Read one piece of feedback, or many; tells whether it is one.

        Raises:
            Refusal: MalformedBody, BodyTooDeep or TooManyRows.

        """
        alone = body.lstrip()[:1] != b"["
        try:
            if alone:
                return True, [self._one.decode(body)]
            return False, self._list(body)
        except RecursionError as error:
            message = "the feedback is nested too deep: send plain values"
            raise Refusal(Reason.BODY_TOO_DEEP, message) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _malformed(str(error)) from error

    def _list(self, body: bytes) -> Many:
        try:
            return _bounded(self._many.decode(body))
        except msgspec.ValidationError:
            return list(_each(_bounded(msgspec.json.decode(body))))


def _bounded(many: Sequence[Piece]) -> Sequence[Piece]:
    """Give a list back if it is not too long."""
    if len(many) > MOST:
        message = f"{len(many)} pieces of feedback are more than {MOST}: send several lists"
        raise Refusal(Reason.TOO_MANY_ROWS, message)
    return many


def _each(many: Sequence[object]) -> Iterator[Feedback | Refusal]:
    """Tell pieces that have the right form from those that have not."""
    for one in many:
        try:
            yield msgspec.convert(one, Feedback)
        except msgspec.ValidationError as error:
            yield _malformed(str(error))


def _malformed(why: str) -> Refusal:
    form = '{"inferenceId", "metric", "value", "row"?, "item"?}'
    return Refusal(Reason.MALFORMED_BODY, f"the feedback is not of the form {form}: {why}")


def _taken(outcome: Sequence[Refusal | None], request: Request) -> Response:
    refused = [
        {"index": index, "status": one.status, "reason": one.reason}
        for index, one in enumerate(outcome)
        if one
    ]
    said = {"accepted": len(outcome) - len(refused), "refused": refused}
    return Response(202, msgspec.json.encode(said), JSON + request_id(request))


def mount(routes: Routes, site: Site) -> None:
    """Take feedback."""
    routes.actions[PATH] = FeedbackFace(site.takers).post
    if site.takers:
        routes.operations.append(operations)
