"""The proxy lets happen what it is told to, and otherwise changes nothing."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from cluster.api import Api, ApiError
from cluster.plane import ControlPlane
from faultproxy import faults, watches
from faultproxy.proxy import FaultProxy
from waiting import await_that

Object = dict[str, Any]


@pytest.fixture
def proxied(proxy: FaultProxy, control_plane: ControlPlane) -> Iterator[Api]:
    api = Api(proxy.url, control_plane.token)
    yield api
    api.close()


@pytest.fixture
def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def named(name: str) -> Object:
    return {"metadata": {"name": name, "labels": {"ours": "yes"}}}


def test_without_a_fault_everything_passes(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str
) -> None:
    made = proxied.call("POST", maps, named("one"))
    assert api.get(f"{maps}/one") == made == proxied.get(f"{maps}/one")
    with pytest.raises(ApiError, match="409 AlreadyExists"):
        proxied.call("POST", maps, named("one"))
    proxied.call("DELETE", f"{maps}/one")
    seen = [str(write) for write in proxy.writes]
    assert seen == [
        "1: POST configmaps/one -> 201",
        "2: POST configmaps/one -> 409",
        "3: DELETE configmaps/one -> 200",
    ]


def test_rights_are_those_of_who_asks(proxy: FaultProxy, maps: str) -> None:
    nobody = Api(proxy.url, "no-token")
    with pytest.raises(ApiError, match="401"):
        nobody.get(maps)
    nobody.close()


@pytest.mark.parametrize("status", [409, 422, 429, 500, 503, 504])
def test_it_answers_in_place_of_the_server(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str, status: int
) -> None:
    proxy.at_write(2, faults.answer(status))
    proxied.call("POST", maps, named("one"))
    with pytest.raises(ApiError, match=f"{status} .*a test lets POST configmaps/two fail"):
        proxied.call("POST", maps, named("two"))
    proxied.call("POST", maps, named("three"))
    assert api.get(f"{maps}/two") is None
    assert [write.status for write in proxy.writes] == [201, status, 201]


LOST = {
    "before": (faults.before(lambda: None), False),
    "after": (faults.after(lambda: None), True),
    "reset-before": (faults.reset_before, False),
    "reset-after": (faults.reset_after, True),
    "cut": (faults.cut, True),
}


@pytest.mark.parametrize("case", LOST)
def test_it_loses_the_answer_with_or_without_the_deed(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str, case: str
) -> None:
    fault, done = LOST[case]
    proxy.at_write(1, fault)
    with pytest.raises(urllib3.exceptions.HTTPError):
        proxied.call("POST", maps, named("one"))
    assert (api.get(f"{maps}/one") is not None) is done
    proxied.call("POST", maps, named("two"))


def test_something_happens_right_before_or_after_a_write(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str
) -> None:
    there: list[bool] = []

    def look() -> None:
        there.append(api.get(f"{maps}/one") is not None)

    for fault in (faults.before(look), faults.after(look)):
        proxy.at_write(1, fault)
        with pytest.raises(urllib3.exceptions.HTTPError):
            proxied.call("POST", maps, named("one"))
    assert there == [False, True]


def test_a_page_is_no_answer(proxy: FaultProxy, proxied: Api, maps: str) -> None:
    proxy.at_write(1, faults.page)
    with pytest.raises(ValueError, match="Expecting value"):
        proxied.call("POST", maps, named("one"))


def test_a_request_can_wait(proxy: FaultProxy, proxied: Api, maps: str) -> None:
    proxy.at_write(1, faults.late(0.5))
    started = time.monotonic()
    proxied.call("POST", maps, named("one"))
    assert time.monotonic() - started >= 0.5


def test_reads_go_wrong_too(proxy: FaultProxy, proxied: Api, maps: str) -> None:
    proxy.fault = lambda asked: faults.forward if asked.writes else faults.answer(503)
    with pytest.raises(ApiError, match="503"):
        proxied.get(maps)
    proxied.call("POST", maps, named("one"))
    proxy.forget()
    assert proxied.get(f"{maps}/one")


class Watch(threading.Thread):
    """Keeps what a watch of our ConfigMaps said, and how it ended."""

    def __init__(self, api: Api, maps: str) -> None:
        super().__init__(daemon=True)
        self._api, self._ours = api, f"{maps}?labelSelector=ours=yes"
        self._version = api.call("GET", self._ours)["metadata"]["resourceVersion"]
        self.seen: list[tuple[str, str]] = []
        self.ended = ""
        self.start()

    def run(self) -> None:
        try:
            for event in self._api.watch(self._ours, self._version, seconds=20):
                about = event["object"]
                self.seen.append((event["type"], about.get("metadata", {}).get("name", "")))
            self.ended = "in order"
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            self.ended = type(error).__name__


SPOILED = {
    "untouched": (watches.untouched, ["one", "two"]),
    "dropping": (
        watches.dropping(lambda _, event: event["object"]["metadata"]["name"] == "one"),
        ["two"],
    ),
    "doubling": (watches.doubling, ["one", "one", "two", "two"]),
    "delaying": (watches.delaying(0.3), ["one", "two"]),
}


@pytest.mark.parametrize("case", SPOILED)
def test_events_are_spoiled(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str, case: str
) -> None:
    spoiler, expected = SPOILED[case]
    api.call("POST", maps, named("before"))
    proxy.spoiler = spoiler
    watch = Watch(proxied, maps)
    for name in ("one", "two"):
        api.call("POST", maps, named(name))
    await_that(lambda: len(watch.seen) >= len(expected))
    proxy.end_watches("configmaps")
    watch.join(10)
    assert (watch.seen, watch.ended) == ([("ADDED", name) for name in expected], "in order")


def test_a_watch_freezes_and_stays_open(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str
) -> None:
    watch = Watch(proxied, maps)
    api.call("POST", maps, named("one"))
    await_that(lambda: watch.seen)
    proxy.spoiler = watches.freezing
    api.call("POST", maps, named("two"))
    watch.join(1)
    assert (watch.seen, watch.ended) == ([("ADDED", "one")], "")


def test_a_watch_is_cut_within_an_event(
    proxy: FaultProxy, proxied: Api, api: Api, maps: str
) -> None:
    proxy.spoiler = watches.cutting
    watch = Watch(proxied, maps)
    api.call("POST", maps, named("one"))
    watch.join(10)
    assert watch.seen == []
    assert watch.ended != "in order"


@pytest.mark.parametrize(("code", "reason"), [(410, "Expired"), (500, "InternalError")])
def test_errors_are_put_into_a_watch(
    proxy: FaultProxy, proxied: Api, maps: str, code: int, reason: str
) -> None:
    watch = Watch(proxied, maps)
    await_that(lambda: proxy.inject("configmaps", watches.error(code, reason)) == 1)
    await_that(lambda: watch.seen == [("ERROR", "")])


def test_a_hanging_request_ends_with_its_client(
    proxy: FaultProxy, control_plane: ControlPlane, maps: str
) -> None:
    proxy.fault = lambda _: faults.hang
    pool = urllib3.PoolManager(retries=False)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", proxy.url + maps, timeout=0.5)
    pool.clear()
    assert control_plane.url
