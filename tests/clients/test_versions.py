"""Released versions of the clients that people have, unchanged but for the address.

Each lives in an environment of its own and runs a script; the numbers that it got, by whatever way,
are the model's to the last bit.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from client_environments import python_with, run_script
from engines import EXAMPLES, serving
from manifests import COLUMNS, MODELS, bike_model, write

pytestmark = [pytest.mark.full, pytest.mark.served, pytest.mark.timeout(900)]

SCRIPTS = Path(__file__).parent / "scripts"
ROWS = 7

VERSIONS = [
    # script, what is installed, the client first; releases of about two years between them
    ("triton_client", "tritonclient[http,grpc]==2.33.0", "numpy==1.26.4"),
    ("triton_client", "tritonclient[http,grpc]==2.46.0", "numpy==1.26.4"),
    ("triton_client", "tritonclient[http,grpc]==2.73.0"),
    ("kserve_client", "kserve==0.15.2"),
    ("kserve_client", "kserve==0.17.1"),
    ("kserve_client", "kserve==0.21.0"),
    ("boto3_client", "boto3==1.26.165"),
    ("boto3_client", "boto3==1.34.162"),
    ("boto3_client", "boto3==1.44.5"),
    ("pyarrow_client", "pyarrow==12.0.1", "numpy==1.26.4"),
    ("pyarrow_client", "pyarrow==18.1.0"),
    ("pyarrow_client", "pyarrow==26.0.1"),
]


@dataclass(frozen=True)
class Target:
    """A served Pipeline, and what its model says of the rows that clients send."""

    asked: dict[str, Any]
    wanted: list[float]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    manifest = tmp_path_factory.mktemp("versions") / "pipeline.yaml"
    model = bike_model("gb")
    document = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "bikes"},
        "spec": {
            "models": [model],
            "steps": [{"name": "demand", "split": {"variants": [{"model": "gb", "weight": 1}]}}],
        },
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        grpc_port = free.getsockname()[1]
    records = json.loads((EXAMPLES / "bike-demand" / "held-out.json").read_text())[:ROWS]
    rows = np.array([[record[column] for column in COLUMNS] for record in records], np.float32)
    session = onnxruntime.InferenceSession(MODELS / "bike-gb.onnx")
    (scores,) = session.run(["variable"], {"X": rows})
    with serving(write(manifest, document), "--grpc-port", str(grpc_port)) as served:
        asked = {
            "url": served.url,
            "grpc": f"127.0.0.1:{grpc_port}",
            "pipeline": "bikes",
            "input": "features",
            "output": "bikers",
            "variant": "gb",
            "columns": COLUMNS,
            "rows": rows.tolist(),
        }
        yield Target(asked, scores.ravel().tolist())


@pytest.mark.parametrize(
    ("script", "requirements"),
    [(script, packages) for script, *packages in VERSIONS],
    ids=[packages[0].replace("==", "-") for _, *packages in VERSIONS],
)
def test_a_released_client_gets_the_models_numbers(
    target: Target, script: str, requirements: list[str]
) -> None:
    python = python_with(script, tuple(requirements))
    found = run_script(python, SCRIPTS / f"{script}.py", target.asked)
    assert found
    for way, numbers in found.items():
        assert np.float32(numbers).tolist() == target.wanted, way
