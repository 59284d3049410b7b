"""Serve one model by KServe's Python SDK, as its documentation says, with its logs off."""

import argparse
import logging
import os

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from onnx_session import open_session


class OnnxModel(Model):
    """Serve one ONNX model."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.session = open_session()
        self.ready = True

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002 - KServe's own signature
        response_headers: dict[str, str] | None = None,  # noqa: ARG002 - KServe's own signature
    ) -> InferResponse:
        """Score one request."""
        (scores,) = self.session.run(None, {"x": payload.inputs[0].as_numpy()})
        output = InferOutput("y", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores, binary_data=False)
        return InferResponse(payload.id or "1", self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    logging.disable(logging.WARNING)
    server = ModelServer(http_port=port, enable_grpc=False, enable_latency_logging=False)
    server.start([OnnxModel(os.environ["BENCH_NAME"])])
