"""mosec at its best: its own dynamic batching, and msgspec for JSON where its default is slower."""

from typing import Any

import msgspec
import numpy as np
from mosec import Server, Worker
from onnx_session import open_session

BATCH = 64
WAIT_MS = 1


class OnnxWorker(Worker):
    """Score the rows of all requests of a batch in one run."""

    def __init__(self) -> None:
        self.session = open_session()

    def deserialize(self, data: bytes) -> Any:  # noqa: ANN401 - mosec's own signature
        """Read JSON with msgspec."""
        return msgspec.json.decode(data)

    def serialize(self, data: Any) -> bytes:  # noqa: ANN401 - mosec's own signature
        """Write JSON with msgspec."""
        return msgspec.json.encode(data)

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Stack the requests, run once, and give each its own rows back."""
        matrices = [np.array(request["x"], np.float32) for request in data]
        (scores,) = self.session.run(None, {"x": np.concatenate(matrices)})
        ends = np.cumsum([len(matrix) for matrix in matrices])[:-1]
        return [{"y": part.tolist()} for part in np.split(scores, ends)]


if __name__ == "__main__":
    server = Server()
    server.append_worker(OnnxWorker, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
