"""The face of ModelInfer: what `faces.v2` is over REST, with messages instead of JSON.

It is a face like the others, so that the same app admits, counts and finishes its calls; the
transport hands it the parsed message, and takes what it answers as bytes and metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.oip import Signature, rectangular
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import Asked, answer_headers, request_id
from tiltyard_engine.faces.headers import client_id
from tiltyard_engine.faces.v2 import told
from tiltyard_engine.faces.variants import VARIANT, Pins, Variants, agreed, read_pins
from tiltyard_engine.grpc.messages import Message, message_class
from tiltyard_engine.grpc.tensors import (
    read_tensors,
    refuse_shared_memory,
    typed_form,
    write_tensor,
)
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.problem import RETRY

InferRequest = message_class("inference.ModelInferRequest")
InferResponse = message_class("inference.ModelInferResponse")


@dataclass(slots=True)
class Incoming(Request):
    """A call of ModelInfer as a request: its metadata are the headers."""

    message: Message = None


class Detail(msgspec.Struct):
    """What the answer depends on besides the outputs."""

    id: str
    outputs: tuple[str, ...]
    """Names asked for; empty: all."""

    raw: bool


class GrpcFace:
    """Tensors of one Pipeline, whichever variant serves them or a certain one."""

    protocol = "grpc"
    paths: tuple[str, ...] = ()

    def __init__(self, plan: Plan, signature: Signature) -> None:
        self._plan = plan
        self._signature = signature
        self._datatypes = {output.name: output.datatype for output in signature.outputs}
        self._last = plan.steps[-1].name
        self._variants = Variants(plan)

    def read(self, request: Request) -> Asked:
        """Decode tensors."""
        message = _message(request)
        pins: Pins = read_pins(request.headers.get(VARIANT, b""))
        if message.model_version:
            pinned = self._variants.pin(message.model_version, "model_version")
            pins = agreed(pins, pinned, "model_version")
        outputs = tuple(self._checked_output(output) for output in message.outputs)
        taken = read_tensors(self._signature, message)
        detail = Detail(message.id, outputs, taken.raw)
        identity = client_id(request.headers) or message.id or None
        return Asked(taken.rows, taken.tensors, taken.fields, pins, identity, detail)

    def _checked_output(self, output: Message) -> str:
        name: str = output.name
        if name not in self._datatypes:
            there = ", ".join(self._datatypes)
            message = f"there is no output {name[:64]!r} (there: {there}): correct it"
            raise Refusal(Reason.UNKNOWN_PARAMETER, message, field=name[:64])
        refuse_shared_memory(output)
        if "classification" in output.parameters:
            message = f"output {name!r}: classification is not offered: ask for the output itself"
            raise Refusal(Reason.UNKNOWN_PARAMETER, message, field="classification")
        return name

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode tensors."""
        detail = asked.detail
        if not isinstance(detail, Detail):
            raise TypeError("the request was read by another face")
        outputs, parameters = told(call, self._last)
        if detail.outputs:
            outputs = {name: outputs[name] for name in detail.outputs if name in outputs}
        answer = InferResponse(
            model_name=self._plan.pipeline, model_version=self._version(call), id=detail.id
        )
        for name, value in parameters.items():
            answer.parameters[name].string_param = value
        raw = detail.raw or not typed_form(outputs)
        for name, column in outputs.items():
            values = rectangular(self._plan.pipeline, name, column)
            write_tensor(answer, name, self._datatypes[name], values, raw=raw)
        return Response(200, answer.SerializeToString(), answer_headers(call, request))

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Answer with the reason as metadata and the message as the call's details."""
        lines = answer_headers(call, request) if call else request_id(request)
        return refused(refusal, lines)

    def _version(self, call: Call) -> str:
        """The variant that served, where one did."""
        served = call.served.get(self._variants.step)
        return served.variants[0] if served and served.rows is None else ""


def refused(refusal: Refusal, lines: bytes = b"") -> Response:
    """Give a refusal the form in which the transport ends a call."""
    told: Mapping[str, object] = {
        "Reason": refusal.reason,
        "Field": refusal.field,
        "Row": refusal.row,
    }
    more = "".join(f"X-Tiltyard-{k}: {v}\r\n" for k, v in told.items() if v is not None)
    text = f"{refusal.reason}: {refusal.message}"
    lines += RETRY.get(refusal.status, b"") + more.encode()
    return Response(refusal.status, text.encode(), lines)


def _message(request: Request) -> Message:
    if not isinstance(request, Incoming):
        raise TypeError("the request came by another transport")
    return request.message
