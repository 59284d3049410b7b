"""The service `inference.GRPCInferenceService`."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

import grpc

from tiltyard_api.reasons import Reason
from tiltyard_engine.app import App
from tiltyard_engine.codecs.oip import Listed, Signature
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.v2 import PLATFORM
from tiltyard_engine.faces.variants import Variants
from tiltyard_engine.grpc.face import GrpcFace, Incoming, InferRequest, refused
from tiltyard_engine.grpc.messages import DecodeError, Message, message_class
from tiltyard_engine.grpc.transport import Context, end, headers_of, metadata_of
from tiltyard_engine.http.message import Response
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.sizes import Sizes

SERVICE = "inference.GRPCInferenceService"


class Inference:
    """Answers the protocol's calls for all Pipelines of a worker."""

    def __init__(self, app: App, pipelines: Sequence[ServedPipeline], sizes: Sizes) -> None:
        self._app = app
        self._models = {
            one.plan.pipeline: _Model(one, Signature(one.plan, sizes.rows)) for one in pipelines
        }
        self._closed = False
        self.refused = 0
        """Calls that came after the close."""

    def close(self) -> None:
        """Refuse calls from now on; those that were accepted go on."""
        self._closed = True

    def handlers(self) -> Mapping[str, grpc.RpcMethodHandler]:
        """A handler for each method."""
        plain = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                method,
                message_class(f"inference.{name}Request").FromString,
                message_class(f"inference.{name}Response").SerializeToString,
            )
            for name, method in plain.items()
        }
        # Parsed by us, so that what cannot be parsed is the caller's fault and not ours.
        return {**handlers, "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer)}

    @property
    def ready(self) -> bool:
        """Whether every Pipeline can be asked."""
        return all(model.served.ready for model in self._models.values())

    async def _live(self, _request: Message, _context: Context) -> Message:
        return message_class("inference.ServerLiveResponse")(live=True)

    async def _ready(self, _request: Message, _context: Context) -> Message:
        return message_class("inference.ServerReadyResponse")(ready=self.ready)

    async def _model_ready(self, request: Message, _context: Context) -> Message:
        model = self._models.get(request.name)
        there = model is not None and request.version in ("", *model.variants.names)
        ready = there and model is not None and model.served.ready
        return message_class("inference.ModelReadyResponse")(ready=ready)

    async def _server_metadata(self, _request: Message, _context: Context) -> Message:
        answer = message_class("inference.ServerMetadataResponse")
        return answer(name="tiltyard", version=version("tiltyard"))

    async def _model_metadata(self, request: Message, context: Context) -> Message:
        try:
            model = self._model(request.name)
            if request.version:
                model.variants.pin(request.version, "version")
        except Refusal as refusal:
            await self._refuse(context, refusal)
        answer = message_class("inference.ModelMetadataResponse")(
            name=request.name, versions=model.variants.names, platform=PLATFORM
        )
        _list(answer.inputs, model.signature.inputs)
        _list(answer.outputs, model.signature.outputs)
        return answer

    async def _infer(self, body: bytes, context: Context) -> bytes:
        try:
            request = Incoming(
                "POST", "", "", headers_of(context), body, InferRequest.FromString(body)
            )
            model = self._model(request.message.model_name)
        except DecodeError as error:
            message = f"the message is no ModelInferRequest: {error}"
            await self._refuse(context, Refusal(Reason.MALFORMED_BODY, message))
        except Refusal as refusal:
            await self._refuse(context, refusal)
        response = await self._answer(model, request)
        if response.status != 200:
            await end(context, response)
        context.set_trailing_metadata(metadata_of(response.headers))
        return response.body

    async def _answer(self, model: "_Model", request: Incoming) -> Response:
        """Run a call; one whose client has gone or whose deadline is over is not begun."""
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(response: Response) -> None:
            if not answered.done():
                answered.set_result(response)

        if self._closed:
            self.refused += 1
            model.served.recorder.refused(503, model.face.protocol)
            return refused(Refusal(Reason.DRAINING, "this engine ends: send it to another"))
        call = self._app.infer(model.face, model.served, request, reply)
        try:
            return await answered
        except asyncio.CancelledError:
            if call is not None and call.refusal is None:
                call.refusal = Refusal(Reason.REQUEST_TIMEOUT, "the client did not wait")
            raise

    async def _refuse(self, context: Context, refusal: Refusal) -> NoReturn:
        """Refuse what leads to no Pipeline."""
        response = refused(refusal)
        self._app.count_stray(response.status, "grpc")
        await end(context, response)
        raise AssertionError("unreachable: abort raises")

    def _model(self, name: str) -> "_Model":
        model = self._models.get(name)
        if model is None:
            there = ", ".join(sorted(self._models)) or "none"
            message = f"no Pipeline {name[:64]!r} here (there: {there}): correct it"
            raise Refusal(Reason.UNKNOWN_PIPELINE, message)
        return model


class _Model:
    """A Pipeline as the protocol's model."""

    def __init__(self, served: ServedPipeline, signature: Signature) -> None:
        self.served = served
        self.signature = signature
        self.variants = Variants(served.plan)
        self.face = GrpcFace(served.plan, signature)


def not_offered(method: str) -> grpc.RpcMethodHandler:
    """A handler for methods that other servers have."""
    name = method.rpartition("/")[2]
    what = "shared memory is not offered: send tensors in the message"
    if "SharedMemory" not in name:
        what = "it is not offered: ask for the service's methods by reflection"

    async def refuse(_body: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name[:64]}: {what}")
        return b""

    return grpc.unary_unary_rpc_method_handler(refuse)


def _list(into: Message, tensors: Sequence[Listed]) -> None:
    for tensor in tensors:
        into.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
