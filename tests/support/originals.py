"""Trains a small model of a framework on real readings, and records what it answers.

Run by an interpreter that has the framework: `python originals.py FRAMEWORK FOLDER`. The rows are
those of the example rare-events; every other one trains, thirty of the others are asked.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[2] / "examples" / "rare-events"
ASKED = 30
SEED = 7

Array = np.ndarray[Any, Any]
Answers = dict[str, Array]


def scikit_learn(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    import joblib
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    trees = GradientBoostingClassifier(n_estimators=10, max_depth=2, random_state=SEED)
    model = make_pipeline(StandardScaler(), trees).fit(x, y)
    joblib.dump(model, folder / "model.joblib")
    return "model.joblib", {
        "label": model.predict(asked),
        "probabilities": model.predict_proba(asked),
    }


def xgboost(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=10, max_depth=3, random_state=SEED, n_jobs=1).fit(x, y)
    model.save_model(folder / "model.ubj")
    return "model.ubj", {"label": model.predict(asked), "probabilities": model.predict_proba(asked)}


def lightgbm(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(n_estimators=10, num_leaves=8, n_jobs=1, verbose=-1).fit(x, y)
    model.booster_.save_model(folder / "model.txt")
    return "model.txt", {"variable": model.predict(asked)}


def tensorflow(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    model = _keras(x, y)
    model.export(folder / "saved", verbose=False)
    score, surely = (part.numpy() for part in model(asked))
    return "saved", {"output_0": score, "output_1": surely}


def keras(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    model = _keras(x, y)
    model.save(folder / "model.keras")
    score, surely = (part.numpy() for part in model(asked))
    return "model.keras", {"output_0": score, "output_1": surely}


def _keras(x: Array, y: Array) -> Any:
    import keras

    keras.utils.set_random_seed(SEED)
    readings = keras.Input((x.shape[1],), name="readings")
    scaled = keras.layers.Rescaling(0.01)(readings)
    hidden = keras.layers.Dense(8, activation="relu")(scaled)
    score = keras.layers.Dense(1, activation="sigmoid", name="score")(hidden)
    classes = keras.layers.Dense(2, activation="softmax", name="classes")(hidden)
    model = keras.Model(readings, [score, classes])
    model.compile("adam", ["binary_crossentropy", "sparse_categorical_crossentropy"])
    model.fit(x, [y, y], epochs=3, verbose=0)
    return model


def pytorch(folder: Path, x: Array, y: Array, asked: Array) -> tuple[str, Answers]:
    import torch

    torch.manual_seed(SEED)

    class Net(torch.nn.Module):  # type: ignore[misc]  # torch is not installed here
        def __init__(self) -> None:
            super().__init__()
            count = x.shape[1]
            self.hidden, self.last = torch.nn.Linear(count, 8), torch.nn.Linear(8, 1)

        def forward(self, readings: Any) -> Any:
            score = torch.sigmoid(self.last(torch.relu(self.hidden(readings * 0.01))))
            return score, score > 0.5

    net, truth = Net(), torch.from_numpy(y.astype(np.float32))[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy(net(torch.from_numpy(x))[0], truth).backward()
        optimizer.step()
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(net.eval(), (torch.from_numpy(x[:4]),), dynamic_shapes=rows)
    torch.export.save(program, folder / "model.pt2")
    with torch.no_grad():
        score, alarm = net(torch.from_numpy(asked))
    return "model.pt2", {"0": score.numpy(), "1": alarm.numpy()}


FRAMEWORKS: dict[str, Callable[[Path, Array, Array, Array], tuple[str, Answers]]] = {
    "scikit-learn": scikit_learn,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "tensorflow": tensorflow,
    "keras": keras,
    "pytorch": pytorch,
}


def main(framework: str, folder: Path) -> None:
    """Write the original, the rows to ask and what it answers to them."""
    readings = np.array(
        [row["tensor"] for row in json.loads((DATA / "held-out.json").read_text())], np.float32
    )
    truth = np.array(json.loads((DATA / "truth.json").read_text()))
    asked = readings[1::2][:ASKED]
    name, answers = FRAMEWORKS[framework](folder, readings[::2], truth[::2], asked)
    column = "features" if framework in ("scikit-learn", "xgboost", "lightgbm") else "readings"
    rows = [{column: row} for row in asked.tolist()]
    (folder / "rows.json").write_text(json.dumps(rows))
    record = {"model": name, "answers": [answer.tolist() for answer in answers.values()]}
    (folder / "record.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
