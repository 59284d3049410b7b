"""The face of `/endpoints/NAME/invocations`: the SageMaker runtime, and the container below it.

Its clients try 500, 503 and 504 again, several times. What a model could not do is therefore 424,
as theirs is: a row that fails one model shall not fail it five times.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.csvrows import CsvReader, write_csv
from tiltyard_engine.codecs.oip import Signature, beside
from tiltyard_engine.codecs.rowforms import RowsReader, write_predictions
from tiltyard_engine.columns import Column
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import Area, Asked, Routes, Site, answer_headers, request_id
from tiltyard_engine.faces.headers import client_id
from tiltyard_engine.faces.variants import VARIANT, Variants, agreed, read_pins
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.metrics import MODEL_ERROR, variants_of
from tiltyard_engine.openapi.sagemaker import operations
from tiltyard_engine.problem import JSON, RETRY
from tiltyard_engine.sizes import Sizes

CSV = b"Content-Type: text/csv\r\n"
TARGET = b"x-amzn-sagemaker-target-variant"
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
MAX_ATTRIBUTES = 1024
IDENTITIES = (
    (b"x-amzn-sagemaker-inference-id", "X-Amzn-SageMaker-Inference-Id"),
    (b"amz-sdk-invocation-id", "amz-sdk-invocation-id"),
)
NOT_OFFERED = MappingProxyType(
    {
        b"x-amzn-sagemaker-target-model": "TargetModel",
        b"x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
        b"x-amzn-sagemaker-inference-component": "InferenceComponentName",
        b"x-amzn-sagemaker-session-id": "SessionId",
        b"x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    }
)
"""What would be answered otherwise than was asked, if it were ignored."""

FAILED = (Reason.MODEL_FAILED, Reason.MODEL_TIMEOUT)
ERROR_TYPES = MappingProxyType({MODEL_ERROR: "ModelError", 503: "ServiceUnavailable"})


class Form(msgspec.Struct, frozen=True):
    """What a media type says of rows."""

    csv: bool
    header: bool | None = None
    """Whether the first line names columns, where that is said."""


class SageMakerFace:
    """Rows of one Pipeline, as an endpoint takes them."""

    protocol = "sagemaker"

    def __init__(self, plan: Plan, paths: Sequence[str], sizes: Sizes) -> None:
        self.paths = tuple(paths)
        self._rows = RowsReader(plan, sizes)
        self._lines = CsvReader(plan, sizes)
        self._variants = Variants(plan)
        self._last = plan.steps[-1].name
        self._model = variants_of(plan.steps[-1])[0]
        listed = Signature(plan, sizes.rows).outputs
        self._widths = {one.name: _width(one.shape) for one in listed}

    def read(self, request: Request) -> Asked:
        """Decode rows."""
        headers = request.headers
        _check_headers(headers)
        sent = _sent_form(headers.get(b"content-type", b""), request.body)
        wanted = _wanted_form(headers.get(b"accept", b""), sent)
        pins = read_pins(headers.get(VARIANT, b""))
        target = headers.get(TARGET)
        if target is not None:
            named = self._variants.pin(target.decode("latin-1"), "TargetVariant")
            pins = agreed(pins, named, "TargetVariant")
        if sent.csv:
            rows = self._lines.read(request.body, header=sent.header)
        else:
            rows = self._rows.read(request.body)
        return Asked(rows.rows, rows.tensors, rows.fields, pins, _identity(headers), wanted)

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode rows."""
        form = asked.detail
        if not isinstance(form, Form):
            raise TypeError("the request was read by another face")
        columns: dict[str, Column | int] = dict(call.outputs[self._last])
        for models in call.beside.values():
            for model, outputs in models.items():
                columns |= self._challenger(model, outputs)
        if form.csv:
            body, media = write_csv(columns, call.rows, header=bool(form.header)), CSV
        else:
            body, media = write_predictions(columns, call.rows), JSON
        return Response(200, body, media + self._more_headers(call, request))

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Answer with one of the runtime's errors."""
        return problem(refusal, self._more_headers(call, request) if call else request_id(request))

    def _challenger(
        self, model: str, outputs: Mapping[str, Column] | None
    ) -> Mapping[str, Column | int]:
        """A challenger's columns: always there, empty where it gave nothing in time."""
        if outputs is not None:
            return {beside(model, name): column for name, column in outputs.items()}
        prefix = beside(model, "")
        return {name: width for name, width in self._widths.items() if name.startswith(prefix)}

    def _more_headers(self, call: Call, request: Request) -> bytes:
        lines = f"x-Amzn-Invoked-Production-Variant: {self._invoked(call)}\r\n".encode()
        attributes = request.headers.get(ATTRIBUTES)
        if attributes is not None:
            lines += b"X-Amzn-SageMaker-Custom-Attributes: " + attributes + b"\r\n"
        return lines + answer_headers(call, request)

    def _invoked(self, call: Call) -> str:
        """The variant that served, several where a batch was divided, else the last model."""
        served = call.served.get(self._variants.step)
        return ",".join(served.variants) if served else self._model


def problem(refusal: Refusal, headers: bytes) -> Response:
    """Encode a refusal as the runtime does: the type in a header, the message in the body."""
    status = MODEL_ERROR if refusal.reason in FAILED else refusal.status
    if refusal.reason is Reason.UNKNOWN_PIPELINE:
        status = 400  # an endpoint that is not there is a mistake in the request
    default = "ValidationError" if status < 500 else "InternalFailure"
    body: dict[str, object] = {"message": refusal.message, "reason": refusal.reason}
    if status == MODEL_ERROR:
        body |= {"OriginalStatusCode": refusal.status, "OriginalMessage": refusal.message}
    if refusal.field is not None:
        body["field"] = refusal.field
    if refusal.row is not None:
        body["row"] = refusal.row
    kind = f"x-amzn-ErrorType: {ERROR_TYPES.get(status, default)}\r\n".encode()
    return Response(
        status, json.dumps(body).encode(), JSON + RETRY.get(status, b"") + kind + headers
    )


def _check_headers(headers: Mapping[bytes, bytes]) -> None:
    for header, name in NOT_OFFERED.items():
        if header in headers:
            message = f"{name} is not offered: leave it out"
            raise Refusal(Reason.UNKNOWN_PARAMETER, message, field=name)
    if len(headers.get(ATTRIBUTES, b"")) > MAX_ATTRIBUTES:
        message = f"CustomAttributes are longer than {MAX_ATTRIBUTES} characters: shorten them"
        raise Refusal(Reason.UNKNOWN_PARAMETER, message, field="CustomAttributes")


def _identity(headers: Mapping[bytes, bytes]) -> str | None:
    """The client's own id; without one, what its retries have in common."""
    identity = client_id(headers)
    for header, name in IDENTITIES:
        if identity is None:
            identity = client_id(headers, header, name)
    return identity


def _sent_form(content_type: bytes, body: bytes) -> Form:
    """What a body is; by its first character where its sender does not say."""
    form = read_form(content_type)
    if form is None:
        raise Refusal(
            Reason.UNSUPPORTED_MEDIA_TYPE,
            f"ContentType {content_type.decode('latin-1')!r} is not taken: send application/json"
            " or text/csv",
            field="ContentType",
        )
    if content_type:
        return form
    return Form(csv=not body.lstrip().startswith((b"[", b"{")))


@lru_cache(maxsize=256)
def _wanted_form(accept: bytes, sent: Form) -> Form:
    """What an answer shall be: what the client accepts, of that what it sent where it may be."""
    offers = [part.strip() for part in accept.split(b",") if part.strip()]
    if not offers:
        return Form(csv=sent.csv)
    for offer in offers:
        media = offer.partition(b";")[0].strip()
        if media in (b"*/*", b"text/*" if sent.csv else b"application/*"):
            return Form(csv=sent.csv)
        form = read_form(offer)
        if form is not None:
            return form
    raise Refusal(
        Reason.NOT_ACCEPTABLE,
        f"Accept {accept.decode('latin-1')!r} leaves nothing: accept application/json or text/csv",
        field="Accept",
    )


@lru_cache(maxsize=256)
def read_form(media_type: bytes) -> Form | None:
    """What a media type says of rows; None where it is not one of ours."""
    media, *parameters = [part.strip().lower() for part in media_type.split(b";")]
    if media in (b"", b"application/json"):
        return Form(csv=False)
    if media != b"text/csv":
        return None
    header = {b"header=present": True, b"header=absent": False}
    return Form(csv=True, header=next((header[p] for p in parameters if p in header), None))


def _width(shape: Sequence[int]) -> int:
    """Cells of one row of an output that is not there."""
    return 1 if ANY_LENGTH in shape[1:] else math.prod(shape[1:])


def mount(routes: Routes, site: Site) -> None:
    """Serve every Pipeline as an endpoint, and the only one as a container."""
    for one in site.pipelines:
        paths = [f"/endpoints/{one.plan.pipeline}/invocations"]
        paths += ["/invocations"] if site.alone else []
        routes.add(SageMakerFace(one.plan, paths, site.sizes), one)
    plans = site.by_path("/endpoints/{}/invocations", "/invocations")
    routes.operations.append(lambda: operations(plans))
    routes.pages["/ping"] = lambda: Response(
        200 if all(one.ready for one in site.pipelines) else 503, b""
    )
    for prefix in ("/endpoints", "/invocations"):
        routes.areas.append(
            Area(
                prefix,
                lambda path: _unknown(path, site),
                lambda refusal, request: problem(refusal, request_id(request)),
            )
        )


def _unknown(path: str, site: Site) -> Refusal:
    parts = path.split("/")  # "", "endpoints", NAME, "invocations"
    known = {one.plan.pipeline for one in site.pipelines}
    if path == "/invocations":
        message = f"several Pipelines are served (there: {site.names}): POST to /endpoints/NAME"
        return Refusal(Reason.UNKNOWN_PIPELINE, f"{message}/invocations")
    if len(parts) == 4 and parts[3] == "invocations" and parts[2] not in known:
        message = f"no endpoint {parts[2]!r} here (there: {site.names}): correct EndpointName"
        return Refusal(Reason.UNKNOWN_PIPELINE, message, field="EndpointName")
    message = f"nothing at {path}: POST /endpoints/NAME/invocations; it does not stream or queue"
    return Refusal(Reason.UNKNOWN_PATH, message)
