"""`Client.local()` from outside: upload, deploy, ask, replace, shadow, go back, undeploy."""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest

from engines import EXAMPLES, serving
from manifests import COLUMNS, MODELS
from tiltyard import (
    Client,
    DeploymentConfigBuilder,
    EntityNotFoundError,
    Failure,
    Framework,
    InferenceError,
    ModelVersion,
    Pipeline,
)
from waiting import await_that

pytestmark = [pytest.mark.served, pytest.mark.timeout(600)]

INPUTS = [
    {"name": "features", "from": "X", "type": "float32", "shape": [10], "columns": COLUMNS},
]
OUTPUTS = [{"name": "bikers", "from": "variable", "type": "float32", "shape": [1]}]
ROWS: list[dict[str, Any]] = json.loads((EXAMPLES / "bike-demand" / "held-out.json").read_bytes())


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspaces")


@pytest.fixture(scope="module")
def client(root: Path, told: list[str]) -> Iterator[Client]:
    with Client.local(root, tell=told.append) as client:
        yield client


@pytest.fixture(scope="module")
def models(client: Client) -> tuple[ModelVersion, ModelVersion]:
    gb, rf = (
        client.upload_model(
            name,
            MODELS / f"{name}.onnx",
            Framework.ONNX,
            input_schema=INPUTS,
            output_schema=OUTPUTS,
        )
        for name in ("bike-gb", "bike-rf")
    )
    return gb, rf


@pytest.fixture(scope="module")
def deployed(client: Client, models: tuple[ModelVersion, ModelVersion]) -> Pipeline:
    """A split 2:1 by rider. Tests of it leave it as it is."""
    gb, rf = models
    pipeline = client.build_pipeline("bikes").add_random_split([(2, gb), (1, rf)], "rider")
    return pipeline.deploy(DeploymentConfigBuilder().replica_count(1).memory("512Mi").build())


def names(answer: Any) -> list[str]:
    """Models that answered, as notebooks ask for them."""
    return [json.loads(split[0])["model_version"]["name"] for split in answer["out._model_split"]]


def test_what_was_uploaded_is_known_by_name_and_version(
    client: Client, models: tuple[ModelVersion, ModelVersion]
) -> None:
    gb, rf = models
    assert gb.status() == rf.status() == "ready"
    assert {one.name() for one in client.list_models()} >= {"bike-gb", "bike-rf"}
    assert client.get_model("bike-gb") == gb
    assert client.get_model("bike-gb", gb.version()).sha() == gb.sha()
    again = client.upload_model("bike-gb", MODELS / "bike-gb.onnx", None, INPUTS, OUTPUTS)
    assert again == gb, "the same bytes, told the same way, are the same version"
    for name, version in (("none", None), ("bike-gb", "none")):
        with pytest.raises(EntityNotFoundError, match="none"):
            client.get_model(name, version)


def test_a_split_is_served_as_it_was_written_and_answers_with_what_was_uploaded(
    deployed: Pipeline, models: tuple[ModelVersion, ModelVersion]
) -> None:
    frame = pd.DataFrame(ROWS[:60])
    answer = deployed.infer(frame)
    assert len(answer) == 60
    assert set(names(answer)) == {"bike-gb", "bike-rf"}
    assert answer["in.rider"].tolist() == frame["rider"].tolist()
    versions = {json.loads(one[0])["version"] for one in answer["out._model_split"]}
    assert versions == {one.version() for one in models}
    assert not [name for name in answer.columns if name.startswith("metadata")]
    assert deployed.status()["status"] == "Running"
    assert deployed.url().endswith("/pipelines/bikes")


def test_every_kind_of_table_gets_the_same_answer_of_its_kind(
    deployed: Pipeline, tmp_path: Path
) -> None:
    rows = ROWS[:20]
    expected = deployed.infer(pd.DataFrame(rows))["out.bikers"].tolist()
    by_polars = deployed.infer(pl.DataFrame(rows))
    assert by_polars["out.bikers"].to_list() == expected
    table = pa.Table.from_pylist(rows)
    by_arrow = deployed.infer(table)
    assert isinstance(by_arrow, pa.Table)
    assert [pytest.approx(one) for one in by_arrow["out.bikers"].to_pylist()] == expected
    (by_list,) = deployed.infer(rows)
    assert by_list.data()[0].tolist() == expected
    (by_dict,) = deployed.infer({name: [row[name] for row in rows] for name in rows[0]})
    assert by_dict.data()[0].tolist() == expected
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert deployed.infer_from_file(tmp_path / "rows.json")["out.bikers"].tolist() == expected
    with pyarrow.ipc.new_file(str(tmp_path / "rows.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert deployed.infer_from_file(tmp_path / "rows.arrow")["time"].type == pa.timestamp("ms")


def test_what_is_answered_can_be_chosen(deployed: Pipeline) -> None:
    frame = pd.DataFrame(ROWS[:2])
    chosen = deployed.infer(frame, dataset=["out.bikers", "metadata.inference_id"])
    assert list(chosen.columns) == ["out.bikers", "metadata.inference_id"]
    assert chosen["metadata.inference_id"].all()
    excluded = deployed.infer(frame, dataset_exclude=["in", "metadata"])
    assert not [name for name in excluded.columns if name.startswith("in.")]


def test_many_rows_are_asked_in_parallel_and_come_back_in_order(deployed: Pipeline) -> None:
    frame = pd.DataFrame(ROWS[:300])
    whole = deployed.infer(frame)["out.bikers"].tolist()
    found = asyncio.run(deployed.parallel_infer(frame, batch_size=40, num_parallel=3))
    assert found["out.bikers"].tolist() == whole
    broken = frame.drop(columns="hour")
    failed = asyncio.run(deployed.parallel_infer(broken.head(3), batch_size=2))
    assert failed["error"].str.contains("column 'hour' is missing").tolist() == [True] * 3
    one = asyncio.run(deployed.async_infer(frame.head(1)))
    assert one["out.bikers"].tolist() == whole[:1]


REFUSED: list[tuple[Any, str]] = [
    (pd.DataFrame(ROWS[:2]).drop(columns="month"), "MissingColumn .*column 'month' is missing"),
    (pd.DataFrame(ROWS[:2]).assign(hour="noon"), "WrongType .*hour"),
    (pd.DataFrame(), "EmptyBatch"),
    (7, "a int holds no rows"),
]


@pytest.mark.parametrize(("data", "said"), REFUSED, ids=["column", "type", "empty", "no table"])
def test_what_cannot_be_asked_is_told_in_a_sentence(
    deployed: Pipeline, data: object, said: str
) -> None:
    with pytest.raises(Failure, match=said) as failure:
        deployed.infer(data)
    assert "\n" not in str(failure.value)
    if isinstance(failure.value, InferenceError):
        assert failure.value.code == 400
        assert failure.value.reason in said


def fresh(stem: str) -> str:
    """Name a Pipeline as none is named: a test that is tried again must not find its remains."""
    return f"{stem}-{token_hex(3)}"


def test_a_life_of_a_pipeline(
    client: Client, models: tuple[ModelVersion, ModelVersion], told: list[str]
) -> None:
    gb, rf = models
    name = fresh("life")
    frame = pd.DataFrame(ROWS[:5])
    pipeline = client.build_pipeline(name).add_random_split([(2, gb), (1, rf)])
    with pytest.raises(Failure, match=rf"{name} is not deployed: deploy\(\) it first"):
        pipeline.infer(frame)
    assert pipeline.status()["status"] == f"Pipeline {name} is not deployed"
    pipeline.deploy()

    pipeline.set_weights({"bike-gb": 0})
    assert set(names(pipeline.infer(frame))) == {"bike-rf"}
    assert any("nothing restarted" in line for line in told)

    fetched = client.get_pipeline(name)
    assert fetched.steps() == pipeline.steps()
    fetched.replace_with_shadow_deploy(0, gb, [rf]).deploy()
    answer = fetched.infer(frame)
    assert {"out.bikers", "out_bike-rf.bikers"} <= set(answer.columns)
    (older,) = fetched.infer(ROWS[:5])
    assert older.shadow_data()["bike-rf"][0].shape == (5, 1)

    fetched.clear().add_model_step(rf).deploy()
    assert fetched.infer(frame)["out.bikers"].tolist() == answer["out_bike-rf.bikers"].tolist()
    assert [one["version"] for one in fetched.history()] == [3, 2, 1]
    assert fetched.history()[0]["steps"] == ["model"]

    fetched.rollback()
    assert "out_bike-rf.bikers" in fetched.infer(frame).columns
    fetched.rollback(to=1)
    assert fetched.history()[0]["version"] == 5
    assert "split" in fetched.steps()[0]

    url = fetched.url()
    fetched.undeploy()
    assert fetched.status()["status"] == f"Pipeline {name} is not deployed"
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(Failure, match=r"is not deployed"):
        fetched.infer(frame)
    assert {name} <= {one.name() for one in client.list_pipelines()}
    fetched.deploy()
    assert len(fetched.infer(frame)) == 5
    fetched.undeploy()


def test_a_canary_is_promoted_and_aborted_and_nothing_restarts(
    client: Client, models: tuple[ModelVersion, ModelVersion]
) -> None:
    gb, rf = models
    name = fresh("ramped")
    ramp = {"steps": [{"weight": 10}, {"weight": 40}, {"weight": 100}]}
    pipeline = client.build_pipeline(name).add_canary(gb, rf, ramp, hash_key="rider")
    with pytest.raises(Failure, match=f"{name} is not deployed"):
        pipeline.promote()
    pipeline.deploy()
    frame = pd.DataFrame(ROWS[:200])

    def share_of_the_candidate() -> float:
        return names(pipeline.infer(frame)).count("bike-rf") / len(frame)

    begun = share_of_the_candidate()
    assert 0 < begun < 1
    assert pipeline.promote().number == 1
    await_that(lambda: share_of_the_candidate() > begun)
    with pytest.raises(Failure, match=f"{name} has no canary 'other'"):
        pipeline.abort("other")
    assert pipeline.abort("canary").number == 2
    await_that(lambda: share_of_the_candidate() == 0)
    with pytest.raises(Failure, match="is rolled back already"):
        pipeline.promote()
    assert len(pipeline.history()) == 1, "nothing else was deployed"
    pipeline.undeploy()


@pytest.mark.full
def test_what_cannot_be_served_is_told_and_what_ran_keeps_running(
    client: Client, models: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    gb, _ = models
    frame = pd.DataFrame(ROWS[:1])
    pipeline = client.build_pipeline("kept").add_model_step(gb).deploy()
    before = pipeline.infer(frame)["out.bikers"].tolist()
    pipeline.add_model_step(gb)
    with pytest.raises(Failure, match="features"):
        pipeline.deploy()
    assert pipeline.infer(frame)["out.bikers"].tolist() == before
    assert len(client.get_pipeline("kept").steps()) == 1
    with pytest.raises(Failure, match=r"spec.steps\[0\].split.variants.* all weights are 0"):
        client.build_pipeline("none").add_random_split([(0, gb)]).deploy()
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(Failure, match="model broken: "):
        client.upload_model("broken", tmp_path / "broken.onnx")
    assert not [one for one in client.list_models() if one.name() == "broken"]
    pipeline.undeploy()


def test_workspaces_are_apart(tmp_path: Path) -> None:
    with Client.local(tmp_path, tell=lambda _: None) as client:
        home = client.get_current_workspace()
        client.upload_model("gb", MODELS / "bike-gb.onnx")
        with pytest.raises(EntityNotFoundError, match="there is no workspace other"):
            client.get_workspace("other")
        other = client.get_workspace("other", create_if_not_exist=True)
        assert [one.name() for one in client.list_workspaces()] == ["default", "other"]
        client.set_current_workspace(other)
        assert client.list_models() == []
        with pytest.raises(EntityNotFoundError, match="there is no model gb in workspace other"):
            client.get_model("gb")
        assert [one.name() for one in home.models()] == ["gb"]
        for wrong in ("Other", "other"):
            with pytest.raises(Failure, match=r"lower-case|already"):
                client.create_workspace(wrong)


@pytest.mark.full
def test_what_is_deployed_here_is_a_manifest_that_the_command_line_serves(
    deployed: Pipeline, root: Path
) -> None:
    manifest = root / "default" / "pipelines" / "bikes.yaml"
    here = deployed.infer(pd.DataFrame(ROWS[:8]))
    with serving(manifest) as served:
        rows = served.infer(ROWS[:8], "bikes")
    for row, expected in zip(rows, here["out.bikers"], strict=True):
        assert math.isclose(row["out"]["bikers"][0], expected[0])


@pytest.mark.full
def test_python_models_say_what_goes_in_by_an_arrow_schema(client: Client) -> None:
    source = EXAMPLES / "forecast" / "models" / "smoothing.zip"
    goes_in = pa.schema([pa.field("count", pa.list_(pa.int32()))])
    comes_out = pa.schema(
        [
            pa.field("forecast", pa.list_(pa.int32(), 7)),
            pa.field("weekly_average", pa.float32()),
        ]
    )
    model = client.upload_model("smoothing", source, Framework.PYTHON, goes_in, comes_out)
    held_out = json.loads((EXAMPLES / "forecast" / "held-out.json").read_bytes())
    pipeline = client.build_pipeline("forecast").add_model_step(model).deploy()
    answer = pipeline.infer(pd.DataFrame(held_out[:2]))
    assert [len(one) for one in answer["out.forecast"]] == [7, 7]
    assert answer["out.weekly_average"].dtype == "float64"
    pipeline.undeploy()


@pytest.mark.full
def test_names_of_inputs_are_changed_and_rows_go_one_by_one_where_that_is_wished(
    client: Client,
) -> None:
    uploaded = client.upload_model("plain", MODELS / "bike-gb.onnx")
    model = uploaded.configure("onnx", tensor_fields=["tensor"], batch_config="single")
    assert model.version() != uploaded.version()
    assert client.get_model("plain") == model
    with pytest.raises(Failure, match="takes 1 inputs"):
        uploaded.configure(tensor_fields=["a", "b"])
    row = [[ROWS[0][name] for name in COLUMNS]]
    pipeline = client.build_pipeline("plain").add_model_step(model).deploy()
    assert len(pipeline.infer(pd.DataFrame({"tensor": row}))) == 1
    pipeline.undeploy()


def test_what_came_of_answers_is_told_judged_and_read_back(
    client: Client, models: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    gb, rf = models
    pipeline = client.build_pipeline("told").add_random_split([(1, gb), (1, rf)], "rider")
    pipeline.add_validations(
        many="out.bikers[0] > 100.0", few=pl.col("out.bikers").list.get(0) < 10.0
    )
    pipeline.set_experiment([{"name": "error", "kind": "value", "better": "lower"}]).deploy()
    answer = pipeline.infer(pd.DataFrame(ROWS[:120]), dataset=["*", "metadata"])
    bikers = answer["out.bikers"].str[0]
    assert (answer["anomaly.many"] == (bikers > 100)).all()
    assert (answer["anomaly.few"] == (bikers < 10)).all()
    assert (answer["anomaly.count"] == (bikers > 100).astype(int) + (bikers < 10)).all()

    truth = json.loads((EXAMPLES / "bike-demand" / "truth.json").read_bytes())
    events = [
        {"inferenceId": identity, "metric": "error", "value": abs(said - true)}
        for identity, said, true in zip(
            answer["metadata.inference_id"], bikers, truth[:120], strict=True
        )
    ]
    assert pipeline.feedback(events[:119]) == {"accepted": 119, "refused": []}
    last = events[-1]
    pipeline.feedback(last["inferenceId"], "error", last["value"])
    with pytest.raises(InferenceError, match="Duplicate"):
        pipeline.feedback(last["inferenceId"], "error", last["value"])
    verdict = pipeline.report().verdict
    assert verdict
    assert verdict.comparisons
    (compared,) = verdict.comparisons
    assert compared.units + compared.control_units <= 120

    pipeline.undeploy()  # what was answered is written down to the last row
    logs = pipeline.logs(limit=200)
    assert len(logs) == 120
    assert sorted(logs["in.rider"]) == sorted(row["rider"] for row in ROWS[:120])
    assert len(pipeline.logs(limit=5, arrow=True)) == 5
    only = pipeline.logs(limit=200, anomaly="many")
    assert len(only) == (bikers > 100).sum()
    (file,) = pipeline.export_logs(tmp_path / "logs", limit=7)
    assert file.name == "told-1.json"
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 7
    (file,) = pipeline.export_logs(tmp_path / "logs", limit=7, arrow=True)
    assert len(pa.ipc.open_file(file).read_all()) == 7
