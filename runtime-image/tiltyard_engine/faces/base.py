"""What every face of the data port is: a protocol that clients speak, turned into calls and back.

A face is one file. It names its paths, reads a request into tensors, writes a finished call, and
gives refusals its protocol's form. Data plane, steps, records and metrics know none of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_engine.call import Call, Served
from tiltyard_engine.codecs.formats import FORMATS, Format
from tiltyard_engine.columns import Columns
from tiltyard_engine.errors import Refusal
from tiltyard_engine.feedback.taking import Takers
from tiltyard_engine.http.message import Handler, Request, Response
from tiltyard_engine.openapi.schemas import Operations
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes
from tiltyard_engine.validations.verdicts import told

REQUEST_ID = b"x-request-id"
MAX_REQUEST_ID = 128

Page = Callable[[], Response]
"""What GET and HEAD of a path answer."""


class Asked(msgspec.Struct):
    """A request as a face has read it."""

    rows: int
    tensors: Columns
    """By their key in the plan."""

    fields: Mapping[str, list[object]]
    """Hash keys by column, one value a row."""

    pins: Mapping[str, str]
    """Variants asked for, by step."""

    identity: str | None
    """The client's own id, which draws where no hash key does."""

    detail: object
    """What the face needs to write the answer; nobody else looks at it."""


class Face(Protocol):
    """One protocol of one Pipeline."""

    protocol: str
    """Label of the metrics."""

    paths: tuple[str, ...]
    """Where it takes inference by POST."""

    def read(self, request: Request) -> Asked:
        """Decode a request.

        Raises:
            Refusal: it makes no sense for this Pipeline.

        """

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode a call that has outputs."""

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Give a refusal the protocol's form; `call` where one had been started."""


@dataclass(frozen=True, slots=True)
class Area:
    """The paths below a prefix, where no path of theirs is meant."""

    prefix: str
    unknown: Callable[[str], Refusal]
    """What is wrong with a path that leads nowhere."""

    refuse: Callable[[Refusal, Request], Response]
    """Gives a refusal the form of the protocol that such paths are of."""


@dataclass(slots=True)
class Routes:
    """Which path leads where."""

    infer: dict[str, tuple[Face, ServedPipeline]] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    actions: dict[str, Handler] = field(default_factory=dict)
    """What POST does that infers nothing."""

    areas: list[Area] = field(default_factory=list)
    operations: list[Callable[[], Operations]] = field(default_factory=list)
    """What each face says of its paths in the OpenAPI document, once somebody asks for it."""

    def add(self, face: Face, pipeline: ServedPipeline) -> None:
        """Serve a Pipeline through a face."""
        self.infer.update(dict.fromkeys(face.paths, (face, pipeline)))

    def area(self, path: str) -> Area:
        """Whose path this would be, of those that begin like it the longest."""
        mine = [area for area in self.areas if path.startswith(area.prefix)]
        return max(mine, key=lambda area: len(area.prefix))


@dataclass(frozen=True, slots=True)
class Site:
    """What faces are opened for."""

    pipelines: Sequence[ServedPipeline]
    partition: str
    """Name of the engine that answers."""

    sizes: Sizes
    formats: Sequence[Format] = FORMATS
    takers: Takers | None = None
    """Who takes feedback; None: nobody."""

    @property
    def alone(self) -> bool:
        """Whether there is one Pipeline, which paths need not name."""
        return len(self.pipelines) == 1

    def by_path(self, pattern: str, short: str) -> dict[str, Plan]:
        """Plans by their path, and that of the only one by a short path."""
        plans = {pattern.format(one.plan.pipeline): one.plan for one in self.pipelines}
        return plans | ({short: self.pipelines[0].plan} if self.alone else {})

    @property
    def names(self) -> str:
        """The Pipelines, as messages list them."""
        return ", ".join(sorted(one.plan.pipeline for one in self.pipelines)) or "none"


def answer_headers(call: Call, request: Request) -> bytes:
    """Header lines that every answer carries: its id, what served it, anomalies, client's id."""
    lines = f"X-Tiltyard-Inference-Id: {call.inference_id}\r\n"
    if call.served:
        lines += f"X-Tiltyard-Variant: {served_text(call)}\r\n"
    if call.anomalies and (anomalies := told(call.anomalies)):
        lines += f"X-Tiltyard-Anomalies: {anomalies}\r\n"
    return lines.encode() + request_id(request)


def served_text(call: Call) -> str:
    """What served a call: `step=variant`, with the numbers of rows where it was divided."""
    return ",".join([_served_text(step, served) for step, served in call.served.items()])


def request_id(request: Request) -> bytes:
    """Header line that repeats X-Request-Id."""
    value = request.headers.get(REQUEST_ID)
    return b"" if value is None else b"X-Request-Id: " + value[:MAX_REQUEST_ID] + b"\r\n"


def _served_text(step: str, served: Served) -> str:
    if served.rows is None:
        return f"{step}={served.variants[0]}"
    parts = zip(served.variants, served.rows, strict=True)
    return ",".join(f"{step}={variant};rows={len(rows)}" for variant, rows in parts)
