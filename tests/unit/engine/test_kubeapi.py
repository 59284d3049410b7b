"""Answers of an API server arrive whole, or not at all."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from configmaps import NAME, NAMESPACE, Cluster, Fault, cluster
from tiltyard_engine.kubeapi import MAX_BODY_BYTES, ApiError, ApiServer, asked

TARGET = f"/api/v1/namespaces/{NAMESPACE}/configmaps?fieldSelector=metadata.name%3D{NAME}"


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "cluster") as made:
        yield made


def read(told: Cluster, target: str = TARGET) -> bytes:
    """Ask as an engine does."""
    server = ApiServer("127.0.0.1", urlsplit(told.url).port or 0, told.token_file, told.ca_file)

    async def ask() -> bytes:
        async with asked(server, target) as answer:
            return await answer.whole()

    return uvloop.run(ask())


def test_the_largest_configmap_arrives_whole_every_time(told: Cluster) -> None:
    value = "y" * (1 << 20)
    told.put({"x": value})
    for _ in range(20):  # a reader that pauses loses the end about every other time
        assert value.encode() in read(told)


def test_what_no_configmap_can_hold_is_not_read_to_its_end(told: Cluster) -> None:
    told.put({"x": "y" * MAX_BODY_BYTES})
    with pytest.raises(ApiError, match="over 8 MiB"):
        read(told)


def test_a_refusal_is_told_in_the_words_of_the_api_server(told: Cluster) -> None:
    told.fault = Fault.FORBIDDEN
    with pytest.raises(ApiError, match=r"says 403: configmaps is forbidden"):
        read(told)


def test_what_is_not_http_is_told_so(told: Cluster) -> None:
    told.fault = Fault.NOT_HTTP
    with pytest.raises(ApiError, match="does not speak HTTP"):
        read(told)


def test_a_server_that_ends_connections_at_once_is_an_error_of_the_connection(
    told: Cluster,
) -> None:
    with told.away(), pytest.raises(OSError):  # noqa: PT011 - the system chooses its words
        read(told)
