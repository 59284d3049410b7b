"""Train two detectors of handwritten numbers on paper labels; set pictures apart to judge them by.

Run by `examples/build.py`, which pins what the bytes depend on.
"""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import artifacts
import numpy as np
import wheel_data

sys.path.append(str(Path(__file__).parent))
import detectors
import scenes
from PIL import Image

LEARNED, JUDGED = 480, 12
"""Pictures."""

KEPT_DIGITS = 400
"""Handwritten digits that only the pictures to be judged by show."""

JPEG_QUALITY = 80
SEED = 31
OVERLAP = 0.5
"""Share of the joint area from which a box counts as found."""

Array = scenes.Array


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out pictures; return what `build.json` says of them."""
    rng = np.random.default_rng(SEED)
    images, digits = scenes.handwriting()
    order = rng.permutation(len(digits))
    apart, rest = order[:KEPT_DIGITS], order[KEPT_DIGITS:]
    seen, unseen = scenes.seen_photographs(), scenes.unseen_photographs()
    shown = scenes.scenes(LEARNED, seen.values(), images[rest], digits[rest], rng)
    judged = scenes.scenes(JUDGED, unseen.values(), images[apart], digits[apart], rng)
    pictures = _saved(judged, folder)
    archive = folder / "models" / "average.zip"
    artifacts.save_archive({"model.py": (folder / "sources" / "average.py").read_text()}, archive)
    quality = {}
    for name, graph in (
        ("labels-windows", detectors.windows(shown)),
        ("labels-regions", detectors.regions(shown)),
    ):
        path = folder / "models" / f"{name}.onnx"
        artifacts.save_graph(graph, path)
        found = [artifacts.run(path, {"tensor": picture}) for picture in pictures]
        quality[name] = _quality(found, judged)
    data = {
        f"{scenes.PACKAGE} {wheel_data.version(scenes.PACKAGE)}": _digests(seen),
        f"scikit-learn {version('scikit-learn')}": _digests(unseen),
    }
    return {"data": {**data, "learned": LEARNED, "judged": JUDGED}, "quality": quality}


def _digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _saved(judged: list[scenes.Scene], folder: Path) -> list[Array]:
    """Write the pictures and what is in them; returns the pictures as they are read again."""
    (folder / "held-out").mkdir(exist_ok=True)
    tensors, truth = [], []
    for number, one in enumerate(judged):
        path = folder / "held-out" / f"{number:02}.jpg"
        Image.fromarray(one.picture).save(path, quality=JPEG_QUALITY)
        pixels = np.asarray(Image.open(path), np.float32)
        tensors.append(pixels.transpose(2, 0, 1)[None])
        truth.append({"boxes": one.boxes.tolist(), "classes": one.digits.tolist()})
    artifacts.save_rows(truth, folder / "truth.json")
    return tensors


def _quality(found: list[dict[str, Array]], judged: list[scenes.Scene]) -> dict[str, float]:
    """Count labels that were found, that were read right, and boxes around nothing."""
    labels = hits = right = empty = 0
    for one, scene in zip(found, judged, strict=True):
        overlaps = overlap(one["boxes"], scene.boxes)
        labels += len(scene.digits)
        empty += int((overlaps.max(axis=1, initial=0) < OVERLAP).sum())
        for number, digit in enumerate(scene.digits):
            best = overlaps[:, number].argmax() if len(overlaps) else None
            if best is not None and overlaps[best, number] >= OVERLAP:
                hits += 1
                right += int(one["classes"][best] == digit)
    return {"labels": labels, "found": hits, "read right": right, "boxes around nothing": empty}


def overlap(these: Array, those: Array) -> Array:
    """Share of the joint area that two boxes have in common, for each pair."""
    low = np.maximum(these[:, None, :2], those[None, :, :2])
    high = np.minimum(these[:, None, 2:], those[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (these, those)]
    return common / (areas[0][:, None] + areas[1][None] - common)
