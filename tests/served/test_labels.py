"""The labels example from outside: pictures in by every protocol, boxes out, whoever finds them."""

import io
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.ipc
import pytest
import tritonclient.grpc
import tritonclient.http
from botocore import UNSIGNED
from botocore.config import Config

from engines import EXAMPLES, Served, grpc_notice, serving

pytestmark = pytest.mark.served

HOME = EXAMPLES / "labels"
PICTURE = HOME / "held-out" / "03.jpg"
DETECTORS = ("labels-windows", "labels-regions")
FOUND = ("boxes", "classes", "confidences")
OUTPUTS = (*FOUND, "avg_conf")
ARROW = "application/vnd.apache.arrow.file"
PATIENCE = 60
BODY = runpy.run_path(str(HOME / "body.py"))

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    manifests = (HOME / "pipeline.yaml", HOME / "shadow.yaml")
    cache = tmp_path_factory.mktemp("cache")
    flags = ("--grpc-port", "0")
    with serving(manifests[0], *flags, cache=cache, manifests=manifests[1:]) as one:
        yield one


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, Array]]:
    """What each detector finds in the picture, by raw onnxruntime, and the mean beside it."""
    found = {}
    for name in DETECTORS:
        path = HOME / "models" / f"{name}.onnx"
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        values = session.run(list(FOUND), {"tensor": BODY["tensor"](PICTURE)[None]})
        found[name] = dict(zip(FOUND, values, strict=True))
        found[name]["avg_conf"] = values[-1].mean(keepdims=True)
        assert len(values[-1]) > 3
    return found


def pinned(detector: str) -> dict[str, str]:
    return {"X-Tiltyard-Variant": f"detect={detector}"}


def check(answer: dict[str, Any], truth: dict[str, Array]) -> None:
    """Compare values of each output, whatever dimension of one stands before them."""
    assert answer.keys() == truth.keys()
    for name, values in truth.items():
        got = np.asarray(answer[name], values.dtype).reshape(values.shape)
        assert got == pytest.approx(values, rel=1e-5, abs=1e-5)


def post(served: Served, path: str, body: bytes, **headers: str) -> tuple[bytes, dict[str, str]]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with urlopen(Request(served.url + path, body, sent), timeout=PATIENCE) as answer:
        return answer.read(), {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_picture_as_records(
    served: Served, truth: dict[str, dict[str, Array]], detector: str
) -> None:
    body = BODY["records"](PICTURE)
    text, headers = post(
        served, "/pipelines/labels", body, Content_Type="application/json", **pinned(detector)
    )
    (row,) = json.loads(text)
    assert headers["x-tiltyard-variant"] == f"detect={detector}"
    assert json.loads(row["out"].pop("_model_split")[0])["name"] == detector
    check(row["out"], truth[detector])
    assert np.shape(row["out"]["boxes"]) == truth[detector]["boxes"].shape


def test_two_pictures_with_different_numbers_of_boxes_are_two_rows(served: Served) -> None:
    other = HOME / "held-out" / "02.jpg"
    rows = [json.loads(BODY["records"](one))[0] for one in (PICTURE, other)]
    answers = served.infer(rows, "labels", **pinned("labels-regions"))
    counts = [len(row["out"]["boxes"]) for row in answers]
    assert counts[0] != counts[1]
    for row, count in zip(answers, counts, strict=True):
        assert len(row["out"]["classes"]) == len(row["out"]["confidences"]) == count
        assert row["out"]["avg_conf"] == pytest.approx([np.mean(row["out"]["confidences"])])


def test_a_picture_as_arrow_comes_back_as_arrow(
    served: Served, truth: dict[str, dict[str, Array]]
) -> None:
    body = BODY["arrow"](PICTURE)
    path = "/pipelines/labels?dataset.separator=.&dataset[]=out"
    given = {"Content_Type": ARROW, "Accept": ARROW} | pinned("labels-windows")
    text, _ = post(served, path, body, **given)
    table = pa.ipc.open_file(io.BytesIO(text)).read_all()
    row = {name: table.column(f"out.{name}")[0].as_py() for name in OUTPUTS}
    check(row, truth["labels-windows"])


def test_a_picture_as_a_binary_tensor(served: Served, truth: dict[str, dict[str, Array]]) -> None:
    body, length = BODY["binary"](PICTURE)
    path = "/v2/models/labels/versions/labels-regions/infer"
    text, _ = post(served, path, body, Inference_Header_Content_Length=str(length))
    row = {one["name"]: one["data"] for one in json.loads(text)["outputs"]}
    check(row, truth["labels-regions"])


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_picture_by_triton(
    served: Served, truth: dict[str, dict[str, Array]], protocol: str
) -> None:
    module = {"http": tritonclient.http, "grpc": tritonclient.grpc}[protocol]
    address = {"http": served.url.removeprefix("http://"), "grpc": grpc_notice(served)}[protocol]
    values = BODY["tensor"](PICTURE)[None]
    asked = module.InferInput("tensor", list(values.shape), "FP32")
    asked.set_data_from_numpy(values)
    with module.InferenceServerClient(address) as client:
        answer = client.infer("labels", [asked], model_version="labels-windows")
        check({name: answer.as_numpy(name) for name in OUTPUTS}, truth["labels-windows"])


def test_a_picture_by_boto3(served: Served, truth: dict[str, dict[str, Array]]) -> None:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=served.url,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, read_timeout=PATIENCE),
    )
    try:
        answer = client.invoke_endpoint(
            EndpointName="labels",
            ContentType="application/json",
            Body=BODY["records"](PICTURE),
            TargetVariant="labels-regions",
        )
        assert answer["InvokedProductionVariant"] == "labels-regions"
        (row,) = json.load(answer["Body"])["predictions"]
    finally:
        client.close()
    check(row, truth["labels-regions"])


def test_the_split_sends_pictures_to_both(served: Served) -> None:
    body = BODY["records"](PICTURE)
    variants = set()
    for number in range(64):
        given = {"Content_Type": "application/json", "X_Tiltyard_Inference_Id": f"picture-{number}"}
        _, headers = post(served, "/pipelines/labels?dataset[]=out", body, **given)
        variants.add(headers["x-tiltyard-variant"])
        if len(variants) == len(DETECTORS):
            break
    assert variants == {f"detect={name}" for name in DETECTORS}


def test_the_shadow_shows_what_both_found(
    served: Served, truth: dict[str, dict[str, Array]]
) -> None:
    (row,) = served.infer(json.loads(BODY["records"](PICTURE)), "labels-shadow")
    champion, challenger = DETECTORS
    check({name: row["out"][name] for name in OUTPUTS}, truth[champion])
    beside = {name: truth[challenger][name] for name in FOUND}
    check(row[f"out_{challenger}"], beside)


def test_a_picture_without_labels_has_no_boxes(served: Served) -> None:
    grey = np.full((3, 480, 640), 128).tolist()
    for detector in DETECTORS:
        (row,) = served.infer([{"tensor": grey}], "labels", **pinned(detector))
        assert [row["out"][name] for name in OUTPUTS] == [[], [], [], [0.0]]


@pytest.mark.parametrize("suffix", [".json", ".arrow", ".bin"])
def test_bodies_are_written_by_their_ending(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"picture{suffix}"
    BODY["main"](str(PICTURE), str(target))
    expected = {".json": BODY["records"], ".arrow": BODY["arrow"], ".bin": BODY["binary"]}
    content = expected[suffix](PICTURE)
    assert target.read_bytes() == (content[0] if suffix == ".bin" else content)
    assert ("Inference-Header-Content-Length" in capsys.readouterr().out) == (suffix == ".bin")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"'\.png' is no form of a body"):
        BODY["main"](str(PICTURE), str(tmp_path / "picture.png"))
