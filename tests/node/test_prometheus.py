"""Prometheus scrapes the real pods of operator and engines, and every panel has its data."""

from pathlib import Path

import pytest
import urllib3

from bikes import NAME
from helm import CHART
from kubectl import Kubectl
from manifests import bike_record
from pods import address, engines
from prometheus import ask, configuration, panels, prometheus, samples
from waiting import await_that

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("node"),
    pytest.mark.full,
    pytest.mark.usefixtures("pipeline"),
]

ELSEWHERE = ("challenger", "control")
"""Panels that say so are empty here: this Pipeline has neither a shadow nor an experiment."""


def test_all_pods_are_scraped_and_panels_have_data(
    kubectl: Kubectl, tiltyard: Kubectl, tmp_path: Path
) -> None:
    config = configuration(tmp_path, CHART / "files/alerts.yaml", kubectl, tiltyard)
    url = f"http://{address(kubectl)}/pipelines/{NAME}"
    names = {one["metadata"]["name"] for one in engines(kubectl)}
    with prometheus(tmp_path, config) as server:
        await_that(lambda: len(samples(server, "up == 1")) == 3, 120)
        found = {labels["pod"]: labels["namespace"] for labels, _ in samples(server, "up")}
        assert names <= found.keys()
        assert sorted(found.values()) == sorted([kubectl.namespace] * 2 + [tiltyard.namespace])
        empty: set[str] = set()

        def answered() -> bool:
            for number in range(20):
                body = [bike_record(rider=f"rider-{number}")]
                assert urllib3.request("POST", url, json=body, timeout=30).status == 200
            empty.clear()
            empty.update(
                title
                for title, queries in panels().items()
                if not all(samples(server, query) for query in queries)
            )
            return all(any(word in title.lower() for word in ELSEWHERE) for title in empty)

        try:
            await_that(answered, 120)
        finally:
            print(f"panels without data: {sorted(empty)}")  # noqa: T201 - shown by -rP
        served = sum(value for _, value in samples(server, "tiltyard_requests_total"))
        assert served >= 20
        rules = [rule for group in ask(server, "rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
