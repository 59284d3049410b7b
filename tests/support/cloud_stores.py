"""Servers that stand in for Cloud Storage and Azure's blobs; they take minutes to build once."""

import base64
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.request import Request, urlopen

from built import go_program, npm_program
from object_stores import LOOPBACK, free_port, program

Keys = dict[str, str]
"""Content of a Secret that opens a store."""

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = base64.b64encode(b"a key of the tests" * 3 + b"1234567890").decode()


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
    with program(url, server, *flags, *public, "-data", folder / "seed"):
        key = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
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
