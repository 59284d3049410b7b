"""What a framework saved is uploaded, deployed and asked, and answers as its original did."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conversions import original
from tiltyard import Client, Framework
from tiltyard.convert.frameworks import Framework as Converted

pytestmark = [
    pytest.mark.served,
    pytest.mark.full,  # it may have to install the framework
    pytest.mark.timeout(1800),
]


def test_what_tensorflow_saved_is_converted_on_upload_and_answers_as_its_original(
    tmp_path: Path,
) -> None:
    saved = original(Converted.TENSORFLOW, tmp_path)
    rows = pd.DataFrame(json.loads((tmp_path / "rows.json").read_text()))
    answers = json.loads((tmp_path / "record.json").read_text())["answers"]
    told: list[str] = []
    with Client.local(tmp_path / "workspaces", tell=told.append) as client:
        model = client.upload_model("saved", saved, Framework.TENSORFLOW)
        assert model.status() == "ready"
        assert model.file_name() == "saved.onnx"
        assert any("converting it from tensorflow into ONNX" in line for line in told)
        pipeline = client.build_pipeline("saved").add_model_step(model).deploy()
        answer = pipeline.infer(rows)
        outputs = [name for name in answer.columns if name.startswith("out.")]
        for output, expected in zip(outputs, answers, strict=True):
            assert np.allclose(answer[output].tolist(), expected, atol=1e-4)
        assert client.upload_model("saved", saved).sha() == model.sha(), "recognised by itself"
