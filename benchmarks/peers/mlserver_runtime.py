"""MLServer has no runtime for ONNX: this is the custom one that its documentation teaches."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_session import open_session


class OnnxModel(MLModel):
    """Serve one ONNX model."""

    async def load(self) -> bool:
        """Open the session, in the worker process where there is one."""
        self.session = open_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score one request."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        (scores,) = self.session.run(None, {"x": rows})
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("y", scores)]
        )
