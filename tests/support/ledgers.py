"""A client's own ledger of the feedback that it sent, to compare sums with."""

import http.client
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from tiltyard_api.experiment import ExperimentSums
from tiltyard_core.experiments.arrays import reals, whole

Cells = dict[tuple[str, str], tuple[int, float]]
"""How many values, and their sum, by variant and metric."""


def counted(sums: ExperimentSums) -> Cells:
    """Read sums, over all strata."""
    found: Cells = {}
    for stratum in sums.strata:
        for name, variant in stratum.variants.items():
            for metric, cell in variant.metrics.items():
                many, total = found.get((name, metric), (0, 0.0))
                added = many + sum(whole(cell.counts)), total + sum(reals(cell.sums))
                found[name, metric] = added
    return {key: value for key, value in found.items() if value[0]}


class Ledger:
    """Sends feedback, as often as it takes, and writes down what was sent."""

    def __init__(self) -> None:
        self.cells: Cells = {}
        self.statuses: Counter[int] = Counter()

    def send(self, url: str, variant: str, pieces: Sequence[dict[str, Any]]) -> None:
        """Send feedback on answers of one variant until all of it was taken."""
        for piece in pieces:
            key = variant, piece["metric"]
            many, total = self.cells.get(key, (0, 0.0))
            self.cells[key] = many + 1, total + piece["value"]
        left = list(pieces)
        while left:
            try:
                refused = post(url, left)["refused"]
            except (OSError, http.client.HTTPException):
                continue  # whoever took it was killed: nobody knows how much of it was counted
            self.statuses.update(one["status"] for one in refused)
            left = [left[one["index"]] for one in refused if one["status"] != 409]


def post(url: str, pieces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Send a list of feedback over a connection of its own."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        connection.request("POST", "/feedback", json.dumps(pieces))
        answer = connection.getresponse()
        said: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 202, said
        return said
    finally:
        connection.close()
