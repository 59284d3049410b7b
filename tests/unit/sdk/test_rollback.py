"""Earlier versions: which one is meant, and what its spec is today."""

import pytest

from makers import Document
from tiltyard.failure import EntityNotFoundError
from tiltyard.places import Revision
from tiltyard.rollback import chosen, rolled_back


def revision(number: int, spec: Document) -> Revision:
    digests = {"a": "1" * 64, "x": "2" * 64}
    shared = {"shared-x": {"framework": "onnx", "source": {"uri": "s3://m/x.onnx"}, "threads": 2}}
    addresses = {"x": "s3://m/x.onnx?versionId=7"}
    return Revision(number, f"p-{number}", "", spec, digests, f"plan-{number}", addresses, shared)


def spec(model: str, weight: float = 1, **source: str) -> Document:
    source = {"uri": f"s3://m/{model}.onnx", **source}
    return {
        "models": [{"name": model, "framework": "onnx", "source": source}],
        "steps": [{"name": "s", "split": {"variants": [{"model": model, "weight": weight}]}}],
    }


A, B, X = (spec(name) for name in "abx")
THREE = [revision(1, spec=A), revision(2, spec=B), revision(3, spec=X)]


@pytest.mark.parametrize(
    ("to", "today", "found"),
    [
        (None, X, 2),
        (None, spec("x", weight=7), 2),
        (None, spec("x", sha256="2" * 64, uri="s3://m/x.onnx?versionId=7"), 2),
        (None, spec("x", sha256="3" * 64), 3),
        (None, spec("other"), 3),
        (None, B, 3),
        (1, X, 1),
        (3, X, 3),
    ],
    ids=["before", "weights", "pinned", "other bytes", "stalled", "went back", "named", "itself"],
)
def test_the_newest_version_that_is_not_wanted_today_is_meant_or_the_one_that_is_named(
    to: int | None, today: Document, found: int
) -> None:
    assert chosen(THREE, "p", to, today).number == found


@pytest.mark.parametrize(
    ("revisions", "to", "said"),
    [
        ([], None, r"p has no earlier version \(there: none\)"),
        ([revision(1, spec=A)], None, r"p has no earlier version \(there: 1\)"),
        (THREE, 7, r"p has no version 7 \(there: 1, 2, 3\)"),
    ],
)
def test_a_version_that_there_is_not_is_named(
    revisions: list[Revision], to: int | None, said: str
) -> None:
    with pytest.raises(EntityNotFoundError, match=said):
        chosen(revisions, "p", to, A)


def split(*weights: tuple[str, float]) -> Document:
    return {"variants": [{"model": model, "weight": weight} for model, weight in weights]}


OLD: Document = {
    "models": [
        {"name": "a", "framework": "onnx", "source": {"uri": "s3://m/a.onnx"}},
        {"name": "x", "modelRef": {"name": "shared-x"}},
    ],
    "steps": [{"name": "s", "split": split(("a", 1), ("x", 1))}, {"name": "m", "model": "a"}],
    "deployment": {"replicas": 1},
    "suspend": True,
}


def test_models_are_pinned_to_the_bytes_that_they_were() -> None:
    back = rolled_back(revision(1, spec=OLD), {"steps": []})
    assert back["models"] == [
        {
            "name": "a",
            "framework": "onnx",
            "source": {"uri": "s3://m/a.onnx", "sha256": "1" * 64},
        },
        {
            "name": "x",
            "framework": "onnx",
            "source": {"uri": "s3://m/x.onnx?versionId=7", "sha256": "2" * 64},
            "threads": 2,
        },
    ]


@pytest.mark.parametrize(
    ("today", "weights"),
    [
        ([{"name": "s", "split": split(("a", 9), ("x", 0))}], [9, 0]),
        ([{"name": "s", "split": split(("a", 9), ("other", 1))}], [1, 1]),
        ([{"name": "other", "split": split(("a", 9), ("x", 0))}], [1, 1]),
        ([{"name": "s", "model": "a"}], [1, 1]),
    ],
)
def test_weights_are_those_of_today_where_the_variants_are_the_same(
    today: list[Document], weights: list[float]
) -> None:
    back = rolled_back(revision(1, spec=OLD), {"steps": today})
    assert [one["weight"] for one in back["steps"][0]["split"]["variants"]] == weights
    assert OLD["steps"][0]["split"] == split(("a", 1), ("x", 1)), "nothing given is changed"


def test_it_is_as_large_as_today_and_serves_again() -> None:
    today: Document = {"steps": [], "deployment": {"replicas": 5}, "suspend": True}
    back = rolled_back(revision(1, spec=OLD), today)
    assert back["deployment"] == {"replicas": 5}
    assert "suspend" not in back
