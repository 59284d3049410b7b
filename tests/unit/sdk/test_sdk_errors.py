"""What goes wrong for who uses the client: one sentence each, with what to do."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
import yaml

from makers import Document
from tiltyard import Client, EntityNotFoundError, Failure, InferenceError, InferenceTimeoutError
from tiltyard.frames import PANDAS
from tiltyard.inference import Asking, query, read_file
from tiltyard.places import pipeline_document
from tiltyard.transport import Transport

ROW = pd.DataFrame({"x": [1]})


class Answers(BaseHTTPRequestHandler):
    """Answers what its server was told to, one after the other; the last one for good."""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.asked.append((self.path, dict(self.headers), self.rfile.read(length)))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.headers["Content-Length"] = "0"
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server of plain HTTP: its address, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.answers, server.asked = list(answers), []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str, seconds: float = 5) -> object:
    with Transport(url) as engine:
        return Asking(engine, "p", lambda _: None).table(
            ROW, PANDAS, query(("*",), (), "."), seconds
        )


REFUSAL = {
    "code": 400,
    "status": "error",
    "error": "column 'y' is missing: add it",
    "source": "engine",
    "reason": "MissingColumn",
    "field": "y",
    "row": 0,
}
OK: Answer = (200, {}, b'[{"time": 1, "out.y": [0.5]}]')
BUSY: Answer = (
    503,
    {"Retry-After": "0"},
    json.dumps({"reason": "Overloaded", "error": "busy"}).encode(),
)


def one_sentence(failure: pytest.ExceptionInfo[Failure]) -> str:
    said = str(failure.value)
    assert "\n" not in said
    assert 20 < len(said) < 300
    return said


def test_no_engine_is_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Failure, match=f"nothing answers at {url}: start one") as failure:
            ask(url)
    one_sentence(failure)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:x", "ftp://127.0.0.1:1"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(Failure, match="not the address of an engine: write http://HOST:PORT") as f:
        ask(url)
    one_sentence(f)


def test_something_that_is_no_engine_is_told() -> None:
    with (
        answering((404, {}, b"<html>not found</html>")) as (url, _),
        pytest.raises(InferenceError, match="HTTP 404 and no reason: is an engine at") as failure,
    ):
        ask(url)
    one_sentence(failure)
    assert failure.value.reason == ""


def test_a_refusal_is_told_with_all_that_programs_want() -> None:
    with (
        answering((400, {}, json.dumps(REFUSAL).encode())) as (url, _),
        pytest.raises(InferenceError, match=r"MissingColumn .field y, row 0.: column 'y'") as found,
    ):
        ask(url)
    one_sentence(found)
    error = found.value
    assert (error.code, error.reason, error.field, error.row) == (400, "MissingColumn", "y", 0)


def test_an_engine_that_is_busy_is_asked_again_until_time_is_over() -> None:
    with answering(BUSY, BUSY, OK) as (url, asked):
        frame = ask(url)
    assert isinstance(frame, pd.DataFrame)
    assert len(asked) == 3
    path, headers, body = asked[0]
    assert path == "/pipelines/p?dataset%5B%5D=%2A&dataset.separator=."
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == [{"x": 1}]
    later = (503, {"Retry-After": "9"}, BUSY[2])
    with answering(later) as (url, asked), pytest.raises(InferenceError, match="Overloaded"):
        ask(url, seconds=1)
    assert len(asked) == 1


def test_an_answer_that_does_not_come_is_told() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InferenceTimeoutError, match="took too long to answer") as failure:
            ask(url, seconds=0.2)
    one_sentence(failure)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.arrow").write_text("no")
    for name, said in (
        ("none.json", "cannot be read: No such file"),
        ("bad.json", "not JSON: .*give a list of records"),
        ("bad.arrow", "cannot be read as an Arrow file"),
    ):
        with pytest.raises(Failure, match=said) as failure:
            read_file(tmp_path / name, None)
        one_sentence(failure)


def test_a_spec_that_is_not_valid_is_told_by_its_fields() -> None:
    with pytest.raises(Failure) as failure:
        pipeline_document("Upper", "default", {"models": [], "steps": []})
    fields = [line.split(": ")[1] for line in failure.value.lines]
    assert fields == ["metadata.name", "spec.models", "spec.steps"]


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TILTYARD_STORE", raising=False)
    return tmp_path / "config"


def write_kubeconfig(file: Path, server: str) -> str:
    document: Document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    }
    file.write_text(yaml.safe_dump(document))
    return str(file)


def test_no_kubeconfig_and_no_cluster_are_told(kubeconfig: Path) -> None:
    with pytest.raises(
        Failure, match=r"the kubeconfig cannot be used: .* does kubectl work"
    ) as failure:
        Client(kubeconfig=str(kubeconfig))
    one_sentence(failure)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Client(kubeconfig=write_kubeconfig(kubeconfig, server)) as client:
            assert client.get_current_workspace().name() == "shop"
            with pytest.raises(Failure, match=f"the API server at {server} does not answer"):
                client.list_models()


def test_without_a_store_nothing_is_uploaded(kubeconfig: Path, tmp_path: Path) -> None:
    with (
        Client(kubeconfig=write_kubeconfig(kubeconfig, "http://127.0.0.1:1")) as client,
        pytest.raises(Failure, match="there is no store for models: give Client") as failure,
    ):
        client.upload_model("m", tmp_path / "m.onnx")
    one_sentence(failure)


def test_an_engine_of_a_cluster_is_asked_through_the_api_server(kubeconfig: Path) -> None:
    spec: Document = {"models": [], "steps": []}
    listed = {"items": [{"metadata": {"name": "p"}, "spec": spec}]}
    there: Answer = (200, {}, json.dumps(listed).encode())
    with (
        answering(there, there, OK) as (url, asked),
        Client(kubeconfig=write_kubeconfig(kubeconfig, url)) as client,
    ):
        answer = client.build_pipeline("p").infer(ROW)
    assert answer["out.y"].tolist() == [[0.5]]
    path, headers, _ = asked[-1]
    proxied = "/api/v1/namespaces/shop/services/p:http/proxy/pipelines/p?"
    assert path.startswith(proxied)
    assert headers["Authorization"] == "Bearer secret"


def status_of(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, status_of("no"), "does not let you at pipelines in namespace shop: ask for the"),
        (404, b"404 page not found", "knows no Pipelines and Models: install Tiltyard there"),
        (404, status_of('namespaces "shop" not found'), "there is no such namespace: kubectl"),
        (409, status_of("older"), "changed in this very moment: try again"),
        (500, status_of("it is\nill"), "the API server answered 500: it is ill"),
    ],
)
def test_what_the_api_server_refuses_is_told(
    kubeconfig: Path, status: int, body: bytes, said: str
) -> None:
    with (
        answering((status, {}, body)) as (url, _),
        Client(kubeconfig=write_kubeconfig(kubeconfig, url)) as client,
        pytest.raises(Failure, match=said) as failure,
    ):
        client.list_pipelines()
    one_sentence(failure)


def test_what_is_not_here_is_told(tmp_path: Path) -> None:
    with Client.local(tmp_path, tell=lambda _: None) as client:
        for call, said in (
            (lambda: client.get_model("m"), "there is no model m in workspace default"),
            (lambda: client.get_pipeline("p"), "there is no pipeline p in workspace default"),
            (lambda: client.get_workspace("w"), "there is no workspace w .there: default"),
            (lambda: client.build_pipeline("p").rollback(), "there is no pipeline p to roll back"),
        ):
            with pytest.raises(EntityNotFoundError, match=said) as failure:
                call()
            one_sentence(failure)
        for path, framework, said in (
            (tmp_path / "none.onnx", None, "there is no such file or folder"),
            (tmp_path, "fortran", "there is no framework 'fortran': use onnx, python"),
        ):
            with pytest.raises(Failure, match=said):
                client.upload_model("m", path, framework)
        with pytest.raises(Failure, match="is not deployed"):
            client.build_pipeline("p").feedback("id", "metric", 1)
