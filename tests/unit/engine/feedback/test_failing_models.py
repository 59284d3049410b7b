"""Requests of an experiment that a model fails: answered, and never with an id to be credited."""

from pathlib import Path

import pytest

import graphs
from makers import Document
from planes import Plane, opened, split
from tiltyard_core.tokens import LENGTH
from tiltyard_engine.feedback.experiment import Assigning, Opened

INTERLEAVE: Document = {"name": "rank", "interleave": {"rankers": ["a", "b"], "output": "items"}}
LABEL: Document = {"name": "late", "kind": "label", "score": "price.y"}
CLICKS: Document = {"name": "clicks", "kind": "binary"}
PICKY = {"a": graphs.picky(), "b": graphs.picky()}
RANKERS = {"a": graphs.ranking(2, width="W"), "b": graphs.ranking(4, width="W")}
GOOD_RANKED, BAD_RANKED = {"x": [1, 2, 3, 4]}, {"x": [1, 2, 3]}


def assigned(plane: Plane, folder: Path) -> None:
    """Let the plane's Pipeline give ids, as a worker does."""
    plane.served.assigning = Assigning(Opened(plane.plan, "uid", folder / "sums", None))


@pytest.mark.parametrize(
    ("models", "step", "metric", "good", "bad"),
    [
        (PICKY, split("a", "b"), LABEL, {"x": 1}, {"x": 7}),
        (PICKY, split("a", "b"), CLICKS, {"x": 1}, {"x": 7}),
        (RANKERS, INTERLEAVE, CLICKS, GOOD_RANKED, BAD_RANKED),
    ],
    ids=["a label", "no label", "rankers"],
)
def test_a_request_that_a_model_fails_is_answered_and_so_are_those_beside_it(
    tmp_path: Path,
    models: dict[str, bytes],
    step: Document,
    metric: Document,
    good: Document,
    bad: Document,
) -> None:
    spec = {"experiment": {"metrics": [metric]}}
    with opened(tmp_path, models, [step], spec=spec) as plane:
        assigned(plane, tmp_path)
        answers = plane.ask_all([[good], [bad], [good]])
        assert [one.status for one in answers] == [200, 500, 200]
        ids = [one.headers["X-Tiltyard-Inference-Id"] for one in answers]
        assert [len(one) >= LENGTH for one in ids] == [True, False, True]
        assert plane.app._words[plane.app._in_flight] == 0
