"""Servers that stand in for Cloud Storage and Azure's blobs; they take minutes to build once."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import urllib3

from built import go_program, npm_program
from object_stores import LOOPBACK, free_port, program

Keys = dict[str, str]
"""Content of a Secret that opens a store."""

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = base64.b64encode(b"a key of the tests" * 3 + b"1234567890").decode()


class _Front(BaseHTTPRequestHandler):
    """Cloud Storage's XML interface before a server that takes a PUT only where it is signed.

    Nor does that server say in headers what it has made of one, as the real one does.
    """

    protocol_version = "HTTP/1.1"
    behind: str

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = urllib3.request("PUT", f"{self.behind}{self.path}?X-Goog-Algorithm=any", body=body)
        made = told.json()
        self._answer(told.status, {"ETag": made["etag"], "x-goog-generation": made["generation"]})

    def do_GET(self) -> None:
        told = urllib3.request(self.command, f"{self.behind}{self.path}")
        left_out = {"content-length", "date", "connection", "transfer-encoding"}
        kept = {name: told.headers[name] for name in told.headers if name.lower() not in left_out}
        self._answer(told.status, kept, told.data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _front(url: str) -> Iterator[str]:
    """Run that interface; gives its URL."""
    handler = type("Front", (_Front,), {"behind": url})
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def cloud_storage(folder: Path, bucket: str, objects: Mapping[str, bytes]) -> Iterator[Keys]:
    """Run a server of Cloud Storage that has one bucket; gives the keys to it."""
    server = go_program("github.com/fsouza/fake-gcs-server", "v1.56.1")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    (folder / "seed" / bucket).mkdir(parents=True)
    for name, content in objects.items():
        (folder / "seed" / bucket / name).write_bytes(content)
    flags = ("-scheme", "http", "-host", LOOPBACK, "-port", port, "-backend", "memory")
    public = ("-external-url", url, "-public-host", f"{LOOPBACK}:{port}")
    with program(url, server, *flags, *public, "-data", folder / "seed"), _front(url) as front:
        key = {"gcs_base_url": front, "disable_oauth": True, "client_email": "", "private_key": ""}
        yield {"key.json": json.dumps(key | {"private_key_id": ""})}


@contextmanager
def blob_storage(folder: Path, container: str, objects: Mapping[str, bytes]) -> Iterator[Keys]:
    """Run a server of Azure's blobs that has one container; gives the keys to it."""
    server = npm_program("azurite", "3.37.0", "azurite-blob")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}/{AZURE_ACCOUNT}"
    flags = ("--silent", "--location", folder, "--blobPort", port, "--blobHost", LOOPBACK)
    accounts = f"{AZURE_ACCOUNT}:{AZURE_KEY}"
    with program(url, server, *flags, AZURITE_ACCOUNTS=accounts):
        _azure_put(url, f"/{container}?restype=container", b"")
        for name, content in objects.items():
            _azure_put(url, f"/{container}/{name}", content, **{"x-ms-blob-type": "BlockBlob"})
        yield {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;BlobEndpoint={url};"
            f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        }


def _azure_put(url: str, path: str, body: bytes, **headers: str) -> None:
    """Write by the REST interface, signed with the account's key."""
    headers |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    place, _, query = path.partition("?")
    signed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}{place}"
    resource += "".join(f"\n{part.replace('=', ':')}" for part in query.split("&") if part)
    length = len(body) or ""
    text = f"PUT\n\n\n{length}\n\n\n\n\n\n\n\n\n{signed}{resource}"
    key = base64.b64decode(AZURE_KEY)
    signature = base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signature}"
    headers["Content-Type"] = ""
    urlopen(Request(url + path, body, headers, method="PUT"), timeout=20).close()
