"""Listening: a port that anyone holds is refused, and the workers share what is ours."""

import contextlib
import socket

import pytest

from tiltyard.failure import Failure
from tiltyard.local.serve import Options, _open_sockets
from tiltyard.local.sockets import PortTaken, open_sockets, url_of
from tiltyard_api.names import GRPC_PORT


def test_workers_share_one_port() -> None:
    sockets = open_sockets("127.0.0.1", 0, 0, 3)
    try:
        assert len({one.getsockname() for one in sockets.data}) == 1
        assert url_of(sockets.data[0]) == f"http://127.0.0.1:{sockets.data[0].getsockname()[1]}"
    finally:
        sockets.close()


def test_a_port_that_another_engine_of_ours_shares_is_refused_too() -> None:
    sockets = open_sockets("127.0.0.1", 0, 0, 2)
    port = sockets.data[0].getsockname()[1]
    try:
        with pytest.raises(PortTaken, match=f"port {port}: something does already"):
            open_sockets("127.0.0.1", port, 0, 1)
        with pytest.raises(PortTaken, match="choose another --management-port"):
            open_sockets("127.0.0.1", 0, port, 1)
    finally:
        sockets.close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(Failure, match=f"cannot listen on {host} port 0: "):
        open_sockets(host, 0, 0, 1)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")],  # noqa: S104
)
def test_the_address_shown_can_be_called(host: str, shown: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        sockets = open_sockets(host, 0, 0, 1)
    except Failure as failure:
        if ":" in host:
            pytest.skip(str(failure))
        raise
    try:
        assert url_of(sockets.data[0]).startswith(shown)
    finally:
        sockets.close()


def test_the_workers_share_the_port_of_grpc_too() -> None:
    sockets = open_sockets("127.0.0.1", 0, 0, 2, 0)
    try:
        (port,) = {one.getsockname()[1] for one in sockets.grpc}
        assert len(sockets.grpc) == 2
        with pytest.raises(PortTaken, match="choose another --grpc-port"):
            open_sockets("127.0.0.1", 0, 0, 1, port)
    finally:
        sockets.close()


def test_the_usual_port_of_grpc_is_taken_where_it_is_free(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = Options("127.0.0.1", 0, 0, 1, {})
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", GRPC_PORT)):
        _open_sockets(options).close()  # else somebody else has it, which is the same to us
        assert "8081 is taken, so nothing is served over gRPC" in capsys.readouterr().err
    sockets = _open_sockets(options)
    said = capsys.readouterr().err
    sockets.close()
    assert bool(sockets.grpc) is ("8081 is taken" not in said)


def test_a_port_of_grpc_that_was_asked_for_has_to_be_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match="choose another --grpc-port"):
            _open_sockets(Options("127.0.0.1", 0, 0, 1, {}, port))
