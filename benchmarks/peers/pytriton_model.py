"""Serve one model by Triton through its Python binding, batching without waiting."""

import argparse
import os

import numpy as np
from numpy.typing import NDArray
from onnx_session import open_session
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_ROWS = 1024

Matrix = NDArray[np.float32]


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    for option in ("--port", "--grpc-port", "--metrics-port"):
        parser.add_argument(option, type=int, required=True)
    ports = parser.parse_args()
    session = open_session()
    (taken,), (given,) = session.get_inputs(), session.get_outputs()

    @batch
    def score(x: Matrix) -> dict[str, Matrix]:
        """Score the rows of all requests of a batch in one run."""
        return {given.name: session.run(None, {taken.name: x})[0]}

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=ports.port,
        grpc_port=ports.grpc_port,
        metrics_port=ports.metrics_port,
        allow_grpc=False,
        allow_metrics=False,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        triton.bind(
            os.environ["BENCH_NAME"],
            score,
            inputs=[Tensor(name=taken.name, dtype=np.float32, shape=taken.shape[1:])],
            outputs=[Tensor(name=given.name, dtype=np.float32, shape=given.shape[1:])],
            config=ModelConfig(
                max_batch_size=MAX_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=0)
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main()
