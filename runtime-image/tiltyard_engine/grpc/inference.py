"""The service `inference.GRPCInferenceService`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version

from tiltyard_api.reasons import Reason
from tiltyard_engine.app import App
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.oip import Listed, Signature
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.v2 import PLATFORM
from tiltyard_engine.faces.variants import Variants
from tiltyard_engine.grpc.exchange import Exchange, Method
from tiltyard_engine.grpc.face import GrpcFace, Incoming, InferRequest
from tiltyard_engine.grpc.messages import Message, message_class
from tiltyard_engine.grpc.metadata import CODES, Code
from tiltyard_engine.grpc.unary import read, unary
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

    def methods(self) -> Mapping[str, Method]:
        """What is done for each method."""
        plain: Mapping[str, Callable[[Message], Message]] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
        }
        methods = {
            name: Method(unary(message_class(f"inference.{name}Request"), answer))
            for name, answer in plain.items()
        }
        return {**methods, "ModelInfer": Method(self._infer)}

    @property
    def ready(self) -> bool:
        """Whether every Pipeline can be asked."""
        return all(model.served.ready for model in self._models.values())

    def _live(self, _request: Message) -> Message:
        return message_class("inference.ServerLiveResponse")(live=True)

    def _ready(self, _request: Message) -> Message:
        return message_class("inference.ServerReadyResponse")(ready=self.ready)

    def _model_ready(self, request: Message) -> Message:
        model = self._models.get(request.name)
        there = model is not None and request.version in ("", *model.variants.names)
        ready = there and model is not None and model.served.ready
        return message_class("inference.ModelReadyResponse")(ready=ready)

    def _server_metadata(self, _request: Message) -> Message:
        answer = message_class("inference.ServerMetadataResponse")
        return answer(name="tiltyard", version=version("tiltyard"))

    def _model_metadata(self, request: Message) -> Message:
        model = self._model(request.name)
        if request.version:
            model.variants.pin(request.version, "version")
        answer = message_class("inference.ModelMetadataResponse")(
            name=request.name, versions=model.variants.names, platform=PLATFORM
        )
        _list(answer.inputs, model.signature.inputs)
        _list(answer.outputs, model.signature.outputs)
        return answer

    def _infer(self, exchange: Exchange, body: bytes) -> None:
        """Run a call; one whose client has gone or whose deadline is over is not begun."""
        try:
            message = read(InferRequest, body)
            model = self._model(message.model_name)
        except Refusal as refusal:
            exchange.refuse(refusal)
            return
        request = Incoming("POST", "", "", exchange.head.headers, body, message)
        call = self._app.infer(model.face, model.served, request, partial(_reply, exchange))
        if call is not None:
            exchange.left = partial(_give_up, call)

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


def _reply(exchange: Exchange, response: Response) -> None:
    if response.status == 200:
        exchange.answer(response.body, response.headers)
    else:
        code = CODES.get(response.status, Code.UNKNOWN)
        exchange.abort(code, response.body.decode(), response.headers)


def _give_up(call: Call) -> None:
    """Refuse what nobody waits for: what has not run will not."""
    if call.refusal is None:
        call.refusal = Refusal(Reason.REQUEST_TIMEOUT, "the client did not wait")


def _list(into: Message, tensors: Sequence[Listed]) -> None:
    for tensor in tensors:
        into.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
