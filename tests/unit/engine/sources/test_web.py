"""Artifacts from HTTP servers: what is followed, what is refused, and what is tried again."""

import hashlib
import ipaddress
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

import givers
from givers import Giver, Route, answer, giving, redirect
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import Fetched, fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError, Limits

CONTENT = b"the bytes of a model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(size=1 << 20, seconds=5.0, silence=0.3, attempts=2)
ACCESS = Access(addresses=Addresses(EVERYWHERE), limits=QUICK)


@pytest.fixture
def giver() -> Iterator[Giver]:
    with giving({"/model.onnx": answer(200, CONTENT)}) as server:
        yield server


def take(giver: Giver, store: Path, path: str = "/model.onnx", access: Access = ACCESS) -> Fetched:
    return fetch(giver.url + path, None, access, store)


def refused(giver: Giver, store: Path, path: str, access: Access = ACCESS) -> tuple[Reason, str]:
    with pytest.raises(ArtifactError) as caught:
        take(giver, store, path, access)
    assert "\n" not in str(caught.value)
    assert list(store.iterdir()) == []
    return caught.value.reason, str(caught.value)


def secret(folder: Path, **keys: str) -> Access:
    folder.mkdir()
    for name, value in keys.items():
        (folder / name).write_text(value + "\n")
    return replace(ACCESS, secret=folder)


@pytest.mark.parametrize(
    "route",
    [
        answer(200, CONTENT),
        givers.chunked([CONTENT[:7], CONTENT[7:]]),
        redirect("/model.onnx"),
        redirect("/model.onnx", 307),
        givers.one_after_another(answer(503), answer(200, CONTENT)),
        givers.one_after_another(
            givers.truncated(CONTENT[:50], len(CONTENT)), answer(200, CONTENT)
        ),
    ],
    ids=["whole", "chunked", "moved", "moved for now", "busy at first", "broken off at first"],
)
def test_the_same_bytes_come_by_every_way(giver: Giver, tmp_path: Path, route: Route) -> None:
    giver.routes["/way"] = route
    found = take(giver, tmp_path, "/way")
    assert (found.digest, found.size, found.address) == (DIGEST, len(CONTENT), None)
    assert found.path.read_bytes() == CONTENT


FAULTS: dict[str, tuple[Route, Reason, str, int]] = {
    "missing": (answer(404), Reason.SOURCE_NOT_FOUND, "answered 404: correct the uri", 1),
    "forbidden": (answer(403), Reason.ACCESS_DENIED, "answered 403: check the Secret", 1),
    "unknown caller": (answer(401), Reason.ACCESS_DENIED, "answered 401: check the Secret", 1),
    "broken": (answer(500), Reason.SOURCE_UNAVAILABLE, "answered 500", 2),
    "a teapot": (answer(418), Reason.SOURCE_UNAVAILABLE, "answered 418, which gives no", 1),
    "nothing new": (answer(204), Reason.SOURCE_UNAVAILABLE, "answered 204, which gives no", 1),
    "in a circle": (redirect("/fault"), Reason.SOURCE_UNAVAILABLE, "redirects in a circle", 6),
    "to a file": (redirect("file:///etc/passwd"), Reason.ACCESS_DENIED, "redirects to file:", 1),
    "to nowhere": (redirect(""), Reason.SOURCE_UNAVAILABLE, "redirects in a circle", 6),
    "truncated": (
        givers.truncated(b"half", 8),
        Reason.SOURCE_UNAVAILABLE,
        "broke off after 4 of 8 bytes",
        2,
    ),
    "half a chunk": (
        givers.chunked([b"half"], whole=False),
        Reason.SOURCE_UNAVAILABLE,
        "cannot be read: IncompleteRead",
        2,
    ),
    "silent": (givers.silent, Reason.SOURCE_UNAVAILABLE, "said nothing for 0.3 s", 2),
    "too large": (givers.sized(2 << 20), Reason.TOO_LARGE, "more than 1048576 bytes", 1),
    "endless": (givers.endless, Reason.TOO_LARGE, "more than 1048576 bytes", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_server_gets_a_reason_and_as_many_attempts_as_help(
    giver: Giver, tmp_path: Path, fault: str
) -> None:
    route, reason, words, asked = FAULTS[fault]
    giver.routes["/fault"] = route
    found, message = refused(giver, tmp_path, "/fault")
    assert (found, words in message) == (reason, True), message
    assert len(giver.asked) == asked


@pytest.mark.parametrize("route", [givers.dripping, givers.dripping_head])
def test_a_server_that_drips_is_given_up_in_time(
    giver: Giver, tmp_path: Path, route: Route
) -> None:
    giver.routes["/drip"] = route
    hurried = replace(ACCESS, limits=replace(QUICK, seconds=0.7))
    start = time.monotonic()
    reason, message = refused(giver, tmp_path, "/drip", hurried)
    assert time.monotonic() - start < 30, "it drips for a minute"
    assert reason is Reason.SOURCE_UNAVAILABLE
    assert "did not arrive within 0.7 s" in message


def test_nobody_there(tmp_path: Path) -> None:
    with giving() as gone:
        pass
    assert "cannot be read: Connection refused" in refused(gone, tmp_path, "/x")[1]


def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read: Name or service not known"):
        fetch("http://nowhere.invalid/x", None, ACCESS, tmp_path)


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"token": "t0k"}, "Bearer t0k"),
        ({"username": "u", "password": "p"}, f"Basic {b64encode(b'u:p').decode()}"),
    ],
)
def test_a_secret_goes_to_its_own_host_and_to_no_other(
    giver: Giver, tmp_path: Path, keys: dict[str, str], header: str
) -> None:
    access = secret(tmp_path / "secret", **keys)
    with giving({"/there": answer(200, CONTENT)}) as other:
        giver.routes["/here"] = redirect("/away")
        giver.routes["/away"] = redirect(f"{other.url}/there")
        assert take(giver, tmp_path / "store", "/here", access).digest == DIGEST
        assert [one.headers["authorization"] for one in giver.asked] == [header, header]
        assert "authorization" not in other.asked[0].headers


@pytest.mark.parametrize("path", ["/fault?signature=s3cr3t", "/moved"])
def test_no_message_holds_a_secret(giver: Giver, tmp_path: Path, path: str) -> None:
    access = secret(tmp_path / "secret", token="s3cr3t")  # noqa: S106 - the test's own
    giver.routes["/moved"] = redirect("/fault?signature=s3cr3t")
    giver.routes["/fault"] = answer(403, b"s3cr3t is wrong")
    with pytest.raises(ArtifactError) as caught:
        fetch(giver.url + path, None, access, tmp_path / "store")
    assert "s3cr3t" not in str(caught.value)
    assert f"{giver.url}/fault?..." in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://user:word@host/x", "http://host/x holds a user or a password: put them into a"),
        ("http://host:port/x", "http://host:port/x is no URL"),
        ("{giver}/a b", "is no URL"),
        ("http:///x", "cannot be read"),
    ],
)
def test_what_is_no_url_is_said(giver: Giver, tmp_path: Path, uri: str, words: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        fetch(uri.format(giver=giver.url), None, ACCESS, tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433"])  # noqa: S104
def test_in_a_cluster_this_machine_is_not_asked(giver: Giver, tmp_path: Path, host: str) -> None:
    port = giver.server_address[1]
    with pytest.raises(ArtifactError) as caught:
        fetch(f"http://{host}:{port}/model.onnx", None, Access(limits=QUICK), tmp_path)
    assert caught.value.reason is Reason.ADDRESS_REFUSED
    assert "which only this machine can reach" in str(caught.value)
    assert giver.asked == []


def test_a_redirect_to_this_machine_is_refused_too(giver: Giver, tmp_path: Path) -> None:
    giver.routes["/metadata"] = redirect("http://169.254.169.254/latest/meta-data/")
    only_mine = Addresses((ipaddress.ip_network("127.0.0.1/32"),))
    reason, message = refused(giver, tmp_path, "/metadata", replace(ACCESS, addresses=only_mine))
    assert reason is Reason.ADDRESS_REFUSED
    assert "http://169.254.169.254/latest/meta-data/ is at 169.254.169.254" in message


def test_a_certificate_of_ones_own_is_believed_where_the_secret_brings_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    with giving({"/model.onnx": answer(200, CONTENT)}) as giver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        giver.socket = context.wrap_socket(giver.socket, server_side=True)
        url = f"https://localhost:{giver.server_address[1]}/model.onnx"
        with pytest.raises(ArtifactError, match=r"not trusted .* put the authority's") as caught:
            fetch(url, None, ACCESS, tmp_path / "store")
        assert caught.value.reason is Reason.ACCESS_DENIED
        pem = authority.cert_pem.bytes().decode()
        access = secret(tmp_path / "secret", **{"ca.crt": pem})
        assert fetch(url, None, access, tmp_path / "store").digest == DIGEST


def test_what_is_known_by_its_digest_is_fetched_once(giver: Giver, tmp_path: Path) -> None:
    uri = f"{giver.url}/model.onnx"
    for _ in range(2):
        assert fetch(uri, DIGEST, ACCESS, tmp_path).digest == DIGEST
    assert len(giver.asked) == 1
    (tmp_path / DIGEST).write_bytes(b"something else")
    assert fetch(uri, DIGEST, ACCESS, tmp_path).path.read_bytes() == CONTENT
    assert len(giver.asked) == 2
