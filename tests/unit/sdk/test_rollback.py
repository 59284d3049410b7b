"""Earlier versions: which one is meant, and what its spec is today."""

import pytest

from makers import Document
from tiltyard.failure import EntityNotFoundError
from tiltyard.places import Revision
from tiltyard.rollback import chosen, rolled_back


def revision(number: int, plan: str = "", spec: Document | None = None) -> Revision:
    digests = {"a": "1" * 64, "x": "2" * 64}
    shared = {"shared-x": {"framework": "onnx", "source": {"uri": "s3://m/x.onnx"}, "threads": 2}}
    addresses = {"x": "s3://m/x.onnx?versionId=7"}
    return Revision(
        number, f"p-{number}", "", spec or {}, digests, plan or f"plan-{number}", addresses, shared
    )


THREE = [revision(1), revision(2), revision(3)]


@pytest.mark.parametrize(
    ("revisions", "to", "plan", "found"),
    [
        (THREE, None, "plan-3", 2),
        (THREE, None, "plan-2", 3),
        (THREE, None, None, 2),
        (THREE, 1, "plan-3", 1),
        (THREE, 3, "plan-3", 3),
    ],
)
def test_the_version_before_is_meant_or_the_one_that_is_named(
    revisions: list[Revision], to: int | None, plan: str | None, found: int
) -> None:
    assert chosen(revisions, "p", to, plan).number == found


@pytest.mark.parametrize(
    ("revisions", "to", "plan", "said"),
    [
        ([], None, None, r"p has no earlier version \(there: none\)"),
        ([revision(1)], None, "plan-1", r"p has no earlier version \(there: 1\)"),
        ([revision(1)], None, None, "no earlier version"),
        (THREE, 7, "plan-3", r"p has no version 7 \(there: 1, 2, 3\)"),
    ],
)
def test_a_version_that_there_is_not_is_named(
    revisions: list[Revision], to: int | None, plan: str | None, said: str
) -> None:
    with pytest.raises(EntityNotFoundError, match=said):
        chosen(revisions, "p", to, plan)


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
    spec = rolled_back(revision(1, spec=OLD), {"steps": []})
    assert spec["models"] == [
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
    spec = rolled_back(revision(1, spec=OLD), {"steps": today})
    assert [one["weight"] for one in spec["steps"][0]["split"]["variants"]] == weights
    assert OLD["steps"][0]["split"] == split(("a", 1), ("x", 1)), "nothing given is changed"


def test_it_is_as_large_as_today_and_serves_again() -> None:
    today: Document = {"steps": [], "deployment": {"replicas": 5}, "suspend": True}
    spec = rolled_back(revision(1, spec=OLD), today)
    assert spec["deployment"] == {"replicas": 5}
    assert "suspend" not in spec
