"""A model that was given threads of its own: they do not survive the fork of a worker."""

from pathlib import Path

import pytest

from engines import serving
from manifests import bike_document, bike_record, write

pytestmark = pytest.mark.served


def test_a_model_with_threads_is_served_and_ends_in_order(tmp_path: Path) -> None:
    plain, threaded = bike_document((1, 0)), bike_document((1, 0))
    threaded["spec"]["models"][0]["threads"] = 2
    outputs = []
    for name, document in (("plain", plain), ("threaded", threaded)):
        with serving(write(tmp_path / f"{name}.yaml", document), "--workers", "2") as served:
            outputs.append(served.infer([bike_record()])[0]["out"])
            assert served.end() == 0
    assert outputs[0]["bikers"] == pytest.approx(outputs[1]["bikers"])
