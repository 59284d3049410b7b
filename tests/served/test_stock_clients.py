"""Clients that people have, with nothing changed but the address."""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import numpy as np
import pytest
import schemathesis
import tritonclient.http
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, seed, settings
from tritonclient.utils import InferenceServerException
from urllib3 import HTTPResponse

from bare_engines import Engine, Workshop, running
from served_models import TROUBLE, failing, scaled

pytestmark = pytest.mark.served

SPLIT = [
    {
        "name": "price",
        "split": {"variants": [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]},
    }
]
CONFORMS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


BEYOND_SCHEMAS = {"ShapeMismatch", "MalformedBody"}
"""What the document cannot say of tensors: elements and shape together, a name once."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    workshop = Workshop(tmp_path_factory.mktemp("stock"))
    plain = workshop.compile("prices", {"a": scaled(1), "b": scaled(-1)}, SPLIT)
    bad = workshop.compile("bad", {"c": failing()}, [{"name": "only", "model": "c"}])
    with running(workshop, plain, bad) as engine:
        yield engine


@pytest.fixture
def triton(engine: Engine) -> Iterator[tritonclient.http.InferenceServerClient]:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{engine.port}") as client:
        yield client


def endpoint(engine: Engine, **config: Any) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{engine.port}",
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",  # noqa: S106 - none is checked
        config=Config(**config),
    )


def rows(*values: float) -> tritonclient.http.InferInput:
    made = tritonclient.http.InferInput("x", [len(values), 1], "FP32")
    made.set_data_from_numpy(np.float32([[value] for value in values]))
    return made


@pytest.mark.parametrize("binary_out", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["binary", "json"])
def test_tritons_client_infers(
    triton: tritonclient.http.InferenceServerClient, *, binary_in: bool, binary_out: bool
) -> None:
    sent = rows(1.5, 2.5)
    sent.set_data_from_numpy(np.float32([[1.5], [2.5]]), binary_data=binary_in)
    wanted = [tritonclient.http.InferRequestedOutput("y", binary_data=binary_out)]
    answer = triton.infer("prices", [sent], model_version="b", outputs=wanted, request_id="7")
    assert answer.as_numpy("y").tolist() == [[-1.5], [-2.5]]
    told = answer.get_response()
    assert (told["id"], told["model_version"]) == ("7", "b")


def test_tritons_client_asks_about_servers_and_models(
    triton: tritonclient.http.InferenceServerClient,
) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.get_server_metadata()["name"] == "tiltyard"
    assert triton.get_model_metadata("prices")["versions"] == ["a", "b"]
    assert triton.is_model_ready("prices", "a")
    assert not triton.is_model_ready("nobody")
    for wrong in (
        lambda: triton.get_model_config("prices"),
        lambda: triton.infer("prices", [rows(1)], model_version="c"),
        lambda: triton.infer("bad", [rows(TROUBLE)]),
    ):
        with pytest.raises(InferenceServerException) as raised:
            wrong()
        assert raised.value.message()


@pytest.mark.parametrize(
    "config", [{}, {"signature_version": UNSIGNED}], ids=["signed", "unsigned"]
)
def test_boto3_invokes(engine: Engine, config: dict[str, Any]) -> None:
    client = endpoint(engine, **config)
    answer = client.invoke_endpoint(
        EndpointName="prices",
        Body=b"1.5\n2.5",
        TargetVariant="b",
        CustomAttributes="order=66",
        InferenceId="7",
    )
    assert answer["Body"].read() == b"-1.5\n-2.5\n"
    assert answer["InvokedProductionVariant"] == "b"
    assert answer["CustomAttributes"] == "order=66"
    body = json.dumps({"instances": [1.5]})
    answer = client.invoke_endpoint(
        EndpointName="prices", Body=body, ContentType="application/json", TargetVariant="a"
    )
    assert json.load(answer["Body"]) == {"predictions": [{"y": [1.5]}]}
    with pytest.raises(client.exceptions.ValidationError, match="no endpoint 'nobody'"):
        client.invoke_endpoint(EndpointName="nobody", Body=b"1")


def test_boto3_does_not_try_a_failing_model_again(engine: Engine) -> None:
    client = endpoint(engine)
    before = engine.metric("tiltyard_variant_errors_total", pipeline="bad")
    with pytest.raises(client.exceptions.ModelError) as raised:
        client.invoke_endpoint(EndpointName="bad", Body=str(TROUBLE).encode())
    told = raised.value.response
    assert told["OriginalStatusCode"] == 500
    assert "only" in told["OriginalMessage"]
    assert told["ResponseMetadata"]["RetryAttempts"] == 0
    assert engine.metric("tiltyard_variant_errors_total", pipeline="bad") == before + 1
    assert client.invoke_endpoint(EndpointName="bad", Body=b"1")["Body"].read() == b"1.0\n"


def test_boto3s_retries_draw_the_same_variant(engine: Engine) -> None:
    """Every first attempt is served, and then lost on its way back."""
    client = endpoint(engine, retries={"max_attempts": 1})
    first: list[str] = []

    def lose(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if b"attempt=1" not in request.headers["amz-sdk-request"]:
            return None
        again = Request(request.url, request.body, dict(request.headers))
        with urlopen(again, timeout=20) as answer:
            first.append(answer.headers["x-Amzn-Invoked-Production-Variant"])
        return AWSResponse(request.url, 503, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", lose)
    for _ in range(5):
        answer = client.invoke_endpoint(EndpointName="prices", Body=b"1", ContentType="text/csv")
        assert answer["ResponseMetadata"]["RetryAttempts"] == 1
        assert answer["InvokedProductionVariant"] == first[-1]
    assert len(first) == 5


def test_boto3_gives_up_in_words_where_the_endpoint_is_no_endpoint(engine: Engine) -> None:
    client = endpoint(engine)
    with pytest.raises(ClientError) as raised:
        client.invoke_endpoint(EndpointName="prices", Body=b"1", TargetModel="m.tar.gz")
    assert "TargetModel is not offered" in str(raised.value)


def test_curl_infers_by_either_protocol(engine: Engine, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{engine.port}"
    body = tmp_path / "body.json"
    body.write_text('{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [2]}]}')
    told = _curl(f"{url}/v2/models/prices/versions/b/infer", "-d", f"@{body}")
    assert json.loads(told)["outputs"][0]["data"] == [-2.0]
    invoked = _curl(
        f"{url}/endpoints/prices/invocations",
        *("-H", "Content-Type: text/csv", "-H", "X-Amzn-SageMaker-Target-Variant: b"),
        *("--data-binary", "2\n3"),
    )
    assert invoked == "-2.0\n-3.0\n"
    assert json.loads(_curl(f"{url}/v2/health/ready")) == {"ready": True}


def _curl(*arguments: str) -> str:
    return subprocess.run(
        ["curl", "-sS", *arguments], check=True, capture_output=True, text=True, timeout=30
    ).stdout


def test_what_the_openapi_document_says_is_so(engine: Engine) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{engine.port}/openapi.json")
    tried, refused = 0, set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if "/bad" in operation.path:
            continue  # it fails as it must
        for case in _cases(operation):
            answer = case.call_and_validate(checks=CONFORMS)
            tried += 1
            if operation.path.startswith("/v2") and answer.status_code == 400:
                refused.add(answer.json()["reason"])
    assert tried > 50
    assert "ShapeMismatch" in refused, "data that do not fill their shape are documented as 400"
    assert refused <= BEYOND_SCHEMAS


def _cases(operation: Any) -> list[Any]:
    """A few requests that the document allows."""
    cases: list[Any] = []

    @seed(1)
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    return cases
