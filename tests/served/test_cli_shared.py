"""`tiltyard serve` with Models of their own, shared by several Pipelines, in several files."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from engines import Served, serving
from makers import Document
from manifests import bike_document, bike_model, bike_record, write
from programs import descendants, tiltyard
from waiting import await_that

pytestmark = pytest.mark.served

REFERENCE: Document = {"name": "gb", "modelRef": {"name": "bike-gb"}}


def shared_model(uri: str | None = None, **fields: object) -> Document:
    """Give the Model `bike-gb`."""
    spec = bike_model("gb", uri)
    del spec["name"]
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "bike-gb"},
        "spec": spec | fields,
    }


def referring(weights: tuple[float, float] = (1, 1), *, name: str = "bikes") -> Document:
    """Give a Pipeline one of whose two models is the Model `bike-gb`."""
    document = bike_document(weights, name=name)
    document["spec"]["models"][0] = REFERENCE
    return document


def models(served: Served) -> set[tuple[str, str]]:
    with urlopen(f"{served.url}/models", timeout=20) as answer:
        return {(one["name"], one["version"]) for one in json.load(answer)["models"]}


def test_a_model_serves_several_pipelines_as_if_it_stood_in_each(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    model = write(tmp_path / "shared" / "m.yaml", shared_model())
    pipelines = write(tmp_path / "p.yaml", referring((1, 0)), referring((1, 0), name="others"))
    in_place = write(tmp_path / "plain.yaml", bike_document((1, 0), name="plain"))
    with serving(pipelines, manifests=(model, in_place)) as served:
        answers = [
            served.infer([bike_record()], name)[0]["out"] for name in ("bikes", "others", "plain")
        ]
        assert answers[0] == answers[1] == answers[2]
        assert {name for name, _ in models(served)} == {"gb", "rf"}
        assert len(models(served)) == 2, "the same bytes and configuration have one version"


def test_weights_beside_a_shared_model_restart_nothing_and_a_changed_model_is_a_new_plan(
    tmp_path: Path,
) -> None:
    model = write(tmp_path / "m.yaml", shared_model())
    pipeline = write(tmp_path / "p.yaml", referring((1, 0)))
    with serving(pipeline, "--watch", manifests=(model,)) as served:
        before, known = descendants(served.process.pid), models(served)
        write(pipeline, referring((0, 1)))
        await_that(lambda: served.infer([bike_record()])[0]["out"] != {})
        await_that(lambda: any("nothing restarted" in line for line in served.notices))
        assert descendants(served.process.pid) == before
        write(model, shared_model(threads=2))
        await_that(lambda: models(served) != known)
        await_that(lambda: not before & descendants(served.process.pid))


def test_a_fault_of_a_shared_model_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    model = write(tmp_path / "shared" / "m.yaml", shared_model("file:none.onnx"))
    pipeline = write(tmp_path / "p.yaml", referring())
    run = tiltyard("serve", pipeline, model, "--port", "0", cache=tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"{model}: spec.source: model 'gb': file:none.onnx: No such file")


def test_validate_takes_models_and_warns_of_those_it_has_not_seen(tmp_path: Path) -> None:
    model = write(tmp_path / "m.yaml", shared_model())
    pipeline = write(tmp_path / "p.yaml", referring())
    run = tiltyard("validate", pipeline, model)
    assert run.stdout.splitlines() == [
        f"{pipeline}: Pipeline bikes is valid",
        f"{model}: Model bike-gb is valid",
    ]
    assert "not looked at" not in run.stderr
    alone = tiltyard("validate", pipeline)
    assert alone.returncode == 0
    assert f"warning: {pipeline}: Model 'bike-gb' is not in these files" in alone.stderr
