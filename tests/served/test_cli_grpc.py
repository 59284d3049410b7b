"""gRPC by way of the command line, through restarts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from engines import grpc_notice, serving
from manifests import bike_document, write
from waiting import eventually

pytestmark = pytest.mark.served


def test_grpc_is_served_and_survives_a_change_of_the_file(tmp_path: Path) -> None:
    manifest = write(tmp_path / "bikes.yaml", bike_document((1, 0)))
    with serving(manifest, "--grpc-port", "0", "--watch") as served:
        address = eventually(lambda: grpc_notice(served))
        sent: Any = triton.InferInput("features", [1, 10], "FP32")
        sent.set_data_from_numpy(np.full((1, 10), 0.5, np.float32))
        with triton.InferenceServerClient(address) as client:
            before = client.infer("bikes", [sent]).as_numpy("bikers").tolist()
            assert client.get_model_metadata("bikes").versions == ["gb", "rf"]
        write(manifest, bike_document((1, 0), name="renamed"))

        def after() -> Any:
            with triton.InferenceServerClient(address) as client:
                if not client.is_model_ready("renamed"):  # the engine before it still answers
                    return None
                return client.infer("renamed", [sent]).as_numpy("bikers").tolist()

        assert eventually(after) == before
