"""The face of `/v2`: the Open Inference Protocol over REST.

A Pipeline is a model, and the variants of its only split are the model's versions: what is sent to
a version is served by that variant.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.oip import Signature, beside
from tiltyard_engine.codecs.v2 import V2Reader, V2Writer, Wanted
from tiltyard_engine.columns import Columns
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.base import (
    Area,
    Asked,
    Page,
    Routes,
    Site,
    answer_headers,
    request_id,
    served_text,
)
from tiltyard_engine.faces.headers import client_id
from tiltyard_engine.faces.variants import VARIANT, Pins, Variants, agreed, read_pins
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.openapi.v2 import operations
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.problem import JSON, problem
from tiltyard_engine.validations.verdicts import told as anomalies_told

HEADER_LENGTH = b"inference-header-content-length"
BINARY = b"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\n"
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "tiltyard"


class V2Face:
    """Tensors of one Pipeline, whichever variant serves them or a certain one."""

    protocol = "v2"

    def __init__(self, plan: Plan, signature: Signature, paths: Sequence[str], pins: Pins) -> None:
        self.paths = tuple(paths)
        self._reader = V2Reader(signature)
        self._writer = V2Writer(plan.pipeline, signature)
        self._last = plan.steps[-1].name
        self._versioned = Variants(plan).step
        self._pins = pins

    def read(self, request: Request) -> Asked:
        """Decode tensors."""
        headers = request.headers
        taken = self._reader.read(request.body, headers.get(HEADER_LENGTH))
        pins = read_pins(headers.get(VARIANT, b""))
        identity = client_id(headers) or taken.wanted.id or None
        return Asked(
            taken.rows,
            taken.tensors,
            taken.fields,
            agreed(pins, self._pins, "the path") if self._pins else pins,
            identity,
            taken.wanted,
        )

    def answer(self, call: Call, asked: Asked, request: Request) -> Response:
        """Encode tensors."""
        wanted = asked.detail
        if not isinstance(wanted, Wanted):
            raise TypeError("the request was read by another face")
        outputs, parameters = told(call, self._last)
        body, length = self._writer.write(outputs, parameters, self._version(call), wanted)
        media = JSON if length is None else BINARY % length
        return Response(200, body, media + answer_headers(call, request))

    def refuse(self, refusal: Refusal, request: Request, call: Call | None) -> Response:
        """Answer with the error body of the data port, which has the protocol's `error` in it."""
        return problem(refusal, answer_headers(call, request) if call else request_id(request))

    def _version(self, call: Call) -> str | None:
        """The variant that served, where one did."""
        served = call.served.get(self._versioned)
        return served.variants[0] if served and served.rows is None else None


def told(call: Call, last: str) -> tuple[Columns, dict[str, str]]:
    """What an answer of the protocol says of a call: its outputs, and ours as parameters."""
    parameters = {"inference_id": call.inference_id}
    if call.served:
        parameters["variants"] = served_text(call)
    anomalies = anomalies_told(call.anomalies) if call.anomalies else ""
    if anomalies:
        parameters["anomalies"] = anomalies
    outputs = call.outputs[last]
    if call.beside:
        outputs = _with_challengers(outputs, call, parameters)
    return outputs, parameters


def _with_challengers(outputs: Columns, call: Call, parameters: dict[str, str]) -> Columns:
    """Outputs of challengers too; those that gave nothing in time are named instead."""
    together = dict(outputs)
    absent = []
    for models in call.beside.values():
        for model, columns in models.items():
            if columns is None:
                absent.append(model)
            else:
                together |= {beside(model, name): column for name, column in columns.items()}
    if absent:
        parameters["absent"] = ",".join(absent)
    return together


def mount(routes: Routes, site: Site) -> None:
    """Serve every Pipeline as a model."""
    server = {"name": "tiltyard", "version": version("tiltyard"), "extensions": EXTENSIONS}
    routes.pages["/v2"] = lambda: _page(server)
    routes.pages["/v2/health/live"] = lambda: _page({"live": True})
    routes.pages["/v2/health/ready"] = _readiness("ready", site.pipelines)
    models: dict[str, tuple[str, Signature]] = {}
    for one in site.pipelines:
        signature = Signature(one.plan, site.sizes.rows)
        paths = _mount_pipeline(routes, one, signature)
        models |= dict.fromkeys(paths, (one.plan.pipeline, signature))
    routes.operations.append(lambda: operations(models))
    plans = {one.plan.pipeline: one.plan for one in site.pipelines}
    routes.areas.append(
        Area(
            "/v2",
            lambda path: _unknown(path, plans),
            lambda refusal, request: problem(refusal, request_id(request)),
        )
    )


def _mount_pipeline(routes: Routes, served: ServedPipeline, signature: Signature) -> Sequence[str]:
    """Serve a Pipeline and its versions; returns the path of each."""
    plan = served.plan
    root = f"/v2/models/{plan.pipeline}"
    variants = Variants(plan)
    pins: dict[str, Pins] = {root: {}}
    for name in variants.names:
        pins[f"{root}/versions/{name}"] = {variants.step: name}
    metadata = {
        "name": plan.pipeline,
        "versions": variants.names,
        "platform": PLATFORM,
        "inputs": [msgspec.to_builtins(one) for one in signature.inputs],
        "outputs": [msgspec.to_builtins(one) for one in signature.outputs],
    }
    for path, pinned in pins.items():
        routes.add(V2Face(plan, signature, [f"{path}/infer"], pinned), served)
        routes.pages[path] = lambda: _page(metadata)
        routes.pages[f"{path}/ready"] = _readiness("ready", [served], name=plan.pipeline)
    return list(pins)


def _readiness(word: str, pipelines: Sequence[ServedPipeline], **more: str) -> Page:
    def page() -> Response:
        ready = all(one.ready for one in pipelines)
        return _page({**more, word: ready}, 200 if ready else 503)

    return page


def _page(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode(), JSON)


def _unknown(path: str, plans: Mapping[str, Plan]) -> Refusal:
    parts = path.split("/")  # "", "v2", "models", NAME, "versions", VARIANT, …
    if len(parts) < 4 or parts[2] != "models":
        message = f"nothing at {path}: GET /v2, or POST /v2/models/NAME/infer"
        return Refusal(Reason.UNKNOWN_PATH, message)
    plan = plans.get(parts[3])
    if plan is None:
        there = ", ".join(sorted(plans)) or "none"
        message = f"no Pipeline {parts[3]!r} here (there: {there}): correct it"
        return Refusal(Reason.UNKNOWN_PIPELINE, message)
    if len(parts) > 5 and parts[4] == "versions" and parts[5] not in Variants(plan).names:
        Variants(plan).pin(parts[5], "version")
    rest = path.removeprefix(f"/v2/models/{plan.pipeline}")
    message = f"a model has no {rest!r}: GET it or its /ready, or POST to its /infer"
    return Refusal(Reason.UNKNOWN_PATH, message)
