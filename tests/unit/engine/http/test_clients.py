"""Stock clients, unchanged."""

import gzip
import http.client
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from loopback import PATIENCE, Served, serving
from tiltyard_engine.http.limits import Limits
from tools import need

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=Limits(max_body=LIMIT)) as served:
        yield served


def test_http_client_keeps_its_connection(served: Served) -> None:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    for number in range(20):
        client.request("POST", f"/a?{number}", body=b"a" * number * 5000)
        answer = client.getresponse()
        assert answer.status == 200
        assert len(answer.read()) > number * 5000
        if number == 0:
            first = client.sock
        assert client.sock is first
    client.close()


def test_http_client_sends_chunks(served: Served) -> None:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    client.request("POST", "/", body=iter([b"hello ", b"there"]), encode_chunked=True)
    assert b'"body": "hello there"' in client.getresponse().read()
    client.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_http_client_reads_the_refusal_of_a_body_that_is_too_large(
    served: Served,
    chunked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    body = b"a" * (LIMIT + 1)
    client.request("POST", "/", body=iter([body]) if chunked else body, encode_chunked=chunked)
    answer = client.getresponse()
    assert answer.status == 413
    assert b"BodyTooLarge" in answer.read()
    client.close()


def test_urllib3_uses_one_connection_for_many_requests(served: Served) -> None:
    with urllib3.PoolManager(timeout=PATIENCE, retries=False) as pool:
        url = f"http://127.0.0.1:{served.port}/a"
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = pool.request(method, url, body=b"hello", headers={"A": "b"})
            seen = answer.json()
            assert (seen["method"], seen["body"], seen["headers"]["a"]) == (method, "hello", "b")
        assert pool.request("HEAD", url).data == b""
        packed = {"Content-Encoding": "gzip"}
        assert (
            pool.request("POST", url, gzip.compress(b"hi"), headers=packed).json()["body"] == "hi"
        )
        assert pool.connection_from_url(url).num_connections == 1


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [need("curl"), "--silent", "--show-error", "--noproxy", "*", *arguments],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip


def test_curl_posts(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}/a"
    assert '"body": "hello"' in curl("--data", "hello", url, url).stdout


def test_curl_asks_before_it_sends_much(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"a" * LIMIT)
    url = f"http://127.0.0.1:{served.port}/a"
    asks = ("--header", "Expect: 100-continue", "--expect100-timeout", "15", "--verbose")
    done = curl(*asks, "--data-binary", f"@{file}", "--output", "/dev/null", url)
    assert "100 Continue" in done.stderr
    file.write_bytes(b"a" * (LIMIT + 1))
    done = curl(*asks, "--data-binary", f"@{file}", url)
    assert "100 Continue" not in done.stderr
    assert "BodyTooLarge" in done.stdout


def test_curl_sends_chunks_and_reads_heads(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}/a"
    chunked = curl("--header", "Transfer-Encoding: chunked", "--data", "hello", url)
    assert '"body": "hello"' in chunked.stdout
    assert "200 OK" in curl("--head", url).stdout
    assert '"path": "/a"' in curl("--http1.0", url).stdout
    assert '"path": "/a"' in curl("--http2", url).stdout, "an upgrade that we ignore"


def test_wrk_sees_no_error(served: Served, tmp_path: Path) -> None:
    script = tmp_path / "post.lua"
    script.write_text('wrk.method = "POST"; wrk.body = string.rep("a", 450)')
    done = subprocess.run(
        [need("wrk"), "-t1", "-c64", "-d1s", "-s", str(script), f"http://127.0.0.1:{served.port}/"],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert "Socket errors" not in done.stdout
    assert "Non-2xx" not in done.stdout
    requests = re.search(r"(\d+) requests in", done.stdout)
    assert requests is not None
    assert int(requests[1]) > 100
