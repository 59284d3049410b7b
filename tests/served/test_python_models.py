"""Python models behind a whole `tiltyard serve`: in a step, a split, a shadow; when they fail."""

import json
import os
import re
import signal
import textwrap
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from engines import EXAMPLES, Served, serving
from programs import alive, command_line, descendants
from waiting import await_that

pytestmark = pytest.mark.served

MODEL = """
import os, time

BY = {by}

def process_data(input_data):
    x = input_data["x"]
    if x[0] == 13:
        os.abort()
    if x[0] == 14:
        time.sleep(1000)
    if x[0] == 15:
        raise ValueError("fifteen")
    return {{"y": x * BY}}
"""


def written(folder: Path, steps: Sequence[object], **models: float) -> Path:
    """Write a manifest of models that multiply, each in a zip."""
    entries = []
    for name, by in models.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr("model.py", textwrap.dedent(MODEL.format(by=by)))
        entries.append(
            {
                "name": name,
                "framework": "python",
                "source": {"uri": f"file:{name}.zip"},
                "inputs": [{"name": "x", "type": "float32"}],
                "outputs": [{"name": "y", "type": "float32"}],
                "memory": "128Mi",
                "timeout": "2s",
            }
        )
    document = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "multiply"},
        "spec": {"models": entries, "steps": list(steps)},
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(document))
    return path


def refused(served: Served, x: float, path: str = "/infer") -> tuple[int, dict[str, Any]]:
    """Ask for what fails: status and body of the answer."""
    body = json.dumps([{"x": x}]).encode()
    request = Request(served.url + path, body, {"Content-Type": "application/json"})
    with pytest.raises(HTTPError) as caught, urlopen(request, timeout=20):
        pass
    with caught.value as answer:
        return answer.code, json.load(answer)


def y(served: Served, x: float) -> float:
    (row,) = served.infer([{"x": x}])
    return float(row["out"]["y"])


def test_a_function_answers_and_its_failures_are_told(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with serving(manifest, "--workers", "2", cache=tmp_path / "cache") as served:
        assert y(served, 4) == 8
        status, body = refused(served, 15)
        assert (status, body["reason"]) == (500, "ModelFailed")
        assert body["error"] == "step 'only': model 'double' failed: ValueError: fifteen"
        status, body = refused(served, 13)
        assert (status, body["reason"]) == (500, "ModelFailed")
        assert body["error"].endswith("its worker was killed by SIGABRT")
        start = time.monotonic()
        status, body = refused(served, 14)
        assert (status, body["reason"]) == (504, "ModelTimeout")
        assert time.monotonic() - start < 30
        assert y(served, 5) == 10
        assert served.get("/readyz") == "ok\n"
        counted = re.findall(
            r"^tiltyard_variant_errors_total\S+ (?!0)\S+", served.get("/metrics"), re.MULTILINE
        )
        assert len(counted) == 2
        assert 'reason="ModelTimeout"' in "".join(counted)


def test_sagemakers_clients_get_424(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with serving(manifest, cache=tmp_path / "cache") as served:
        status, body = refused(served, 15, "/invocations")
        assert (status, body["reason"], body["OriginalStatusCode"]) == (424, "ModelFailed", 500)


def test_a_variant_that_keeps_dying_leaves_the_other_alone(tmp_path: Path) -> None:
    variants = [{"model": "double", "weight": 1}, {"model": "triple", "weight": 1}]
    key = {"field": "user"}
    split = [{"name": "price", "split": {"variants": variants, "hashKey": key}}]
    manifest = written(tmp_path, split, double=2, triple=3)
    with serving(manifest, cache=tmp_path / "cache") as served:

        def ask(model: str, x: float) -> float:
            pin = {"X-Tiltyard-Variant": f"price={model}"}
            (row,) = served.infer([{"x": x, "user": "u"}], **pin)
            return float(row["out"]["y"])

        assert (ask("double", 2), ask("triple", 2)) == (4, 6)
        reasons = set()
        while "NotReady" not in reasons:
            with pytest.raises(HTTPError) as caught:
                ask("triple", 13)
            with caught.value as answer:
                reasons.add(json.load(answer)["reason"])
                assert answer.headers["Retry-After"] or answer.code == 500
            assert ask("double", 2) == 4
        assert reasons == {"ModelFailed", "NotReady"}
        assert served.get("/readyz") == "ok\n"


def test_a_step_that_nobody_can_answer_is_not_ready(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with serving(manifest, cache=tmp_path / "cache") as served:
        while refused(served, 13)[0] != 503:
            pass
        with pytest.raises(HTTPError) as caught:
            served.get("/readyz")
        with caught.value as answer:
            assert answer.code == 503
            assert "model 'double' keeps failing" in json.load(answer)["error"]


@pytest.mark.parametrize("outputs", ["log", "respond"])
def test_a_challenger_that_fails_hurts_nobody(tmp_path: Path, outputs: str) -> None:
    champion = {"champion": "double", "challengers": [{"model": "bad"}], "outputs": outputs}
    manifest = written(tmp_path, [{"name": "watch", "shadow": champion}], double=2, bad=0)
    source = (
        "import os\ndef process_data(x): return {'y': x['x']} if x['x'][0] != 7 else os.abort()"
    )
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("model.py", source)
    with serving(manifest, cache=tmp_path / "cache") as served, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: y(served, 7), range(20))) == [14] * 20
        assert served.get("/readyz") == "ok\n"
        failed = 'tiltyard_shadow_failed_total{pipeline="multiply",reason="ModelFailed"'
        await_that(lambda: failed in served.get("/metrics"))


def test_an_end_takes_every_worker_along(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with serving(manifest, cache=tmp_path / "cache") as served:
        assert y(served, 1) == 2
        below = descendants(served.process.pid)
        workers = [pid for pid in below if "python/worker" in command_line(pid)]
        assert len(workers) == 1
        assert served.end() == 0
        assert not any(alive(pid) for pid in below)


def test_a_killed_engine_takes_every_worker_along(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with serving(manifest, cache=tmp_path / "cache") as served:
        below = descendants(served.process.pid)
        supervisor = min(pid for pid in below if "--plan" in command_line(pid))
        os.kill(supervisor, signal.SIGKILL)
        await_that(lambda: not any(alive(pid) for pid in below))


def test_one_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    manifest = written(tmp_path, [{"name": "only", "model": "double"}], double=2)
    with zipfile.ZipFile(tmp_path / "double.zip", "w") as archive:
        archive.writestr("model.py", "import nowhere")
    with (
        pytest.raises(AssertionError, match="No module named 'nowhere'"),
        serving(manifest, cache=tmp_path / "cache"),
    ):
        pass


def test_one_forecast_replaces_the_other_while_requests_run(tmp_path: Path) -> None:
    """The seeds' hot swap: a model step is given another model, and no request is lost."""
    document = yaml.safe_load((EXAMPLES / "forecast" / "single.yaml").read_text())
    for model in document["spec"]["models"]:
        model["source"]["uri"] = f"file://{EXAMPLES}/forecast/{model['source']['uri'][5:]}"
    manifest = tmp_path / "single.yaml"
    manifest.write_text(yaml.safe_dump(document))
    rows = json.loads((EXAMPLES / "forecast" / "held-out.json").read_text())[:3]
    with serving(manifest, "--watch", cache=tmp_path / "cache") as served:
        before = [row["out"] for row in served.infer(rows)]
        document["spec"]["steps"][0]["model"] = "forecast-regression"
        manifest.write_text(yaml.safe_dump(document))
        answers = [before]
        await_that(
            lambda: (
                bool(answers.append([row["out"] for row in served.infer(rows)]))
                or answers[-1] != before
            )
        )
        after = answers[-1]
    assert all(len(out["forecast"]) == 7 for out in before + after)
    assert all(
        out["weekly_average"] == pytest.approx(sum(out["forecast"]) / 7) for out in before + after
    )
    assert all(answer in (before, after) for answer in answers)
