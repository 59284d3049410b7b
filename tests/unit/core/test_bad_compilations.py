from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import make_document, make_resolved
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_core.compile import compile_plan

Row = dict[str, Any]

TABLE: list[Row] = yaml.safe_load(Path(__file__).with_name("bad_compilations.yaml").read_text())

MODELS = {
    "a": "x float32[?,4] -> y float32[?,1]",
    "b": "x float32[?,4] -> y float32[?,1]",
    "c": "y float32[?,1] -> euro float32[?,1]",
}


@pytest.mark.parametrize("row", TABLE, ids=[row["says"] for row in TABLE])
def test_what_does_not_fit_is_refused_by_name(row: Row) -> None:
    pipeline = read_pipeline(make_document(row.get("set")))
    models = MODELS | row.get("models", {})
    with pytest.raises(InvalidManifest) as refused:
        compile_plan(pipeline, {name: make_resolved(text) for name, text in models.items()})
    assert [str(fault) for fault in refused.value.faults] == row["faults"]
