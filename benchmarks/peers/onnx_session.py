"""Open a model the same way in every peer: one thread, as the engine does."""

import os

import onnxruntime


def open_session() -> onnxruntime.InferenceSession:
    """Open the model that the benchmark names in the environment."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
    )
