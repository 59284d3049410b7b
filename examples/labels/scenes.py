"""Pictures of paper labels with a handwritten digit each, laid upon photographs."""

import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import wheel_data
from PIL import Image

WIDTH, HEIGHT = 640, 480
SIDES = (48, 72)
"""Shortest and longest side of a label, in pixels."""

MARGIN = 42
"""Between the middle of a label and the edge of the picture."""

TILT = 8.0
"""Most degrees by which a label lies askew."""

LABELS = (4, 10)
BRIGHTEST = 16
PACKAGE, FOLDER = "scikit-image", "skimage/data"
SEEN = ("coffee.png", "chelsea.png", "rocket.jpg", "brick.png", "gravel.png", "grass.png")
"""Photographs to learn on, of scikit-image."""

UNSEEN = ("china.jpg", "flower.jpg")
"""Photographs to be judged on, of scikit-learn."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scene:
    """A picture, and what is to be found in it."""

    picture: Array
    """Red, green and blue of each pixel, 0 to 255."""

    boxes: Array
    """Left, top, right and bottom of each label."""

    digits: Array

    @property
    def tensor(self) -> Array:
        """The picture as a detector takes it."""
        return self.picture.transpose(2, 0, 1)[None].astype(np.float32)


def handwriting() -> tuple[Array, Array]:
    """Images of handwritten digits, and what they say."""
    packed = resources.files("sklearn.datasets.data").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",").astype(int)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]


def seen_photographs() -> dict[str, bytes]:
    """Photographs to learn on."""
    found = wheel_data.files(PACKAGE, [f"{FOLDER}/{name}" for name in SEEN])
    return {Path(name).name: content for name, content in found.items()}


def unseen_photographs() -> dict[str, bytes]:
    """Photographs that no model has seen."""
    folder = resources.files("sklearn.datasets.images")
    return {name: folder.joinpath(name).read_bytes() for name in UNSEEN}


def scenes(
    count: int,
    photographs: Iterable[bytes],
    images: Array,
    digits: Array,
    rng: np.random.Generator,
) -> list[Scene]:
    """Lay digits upon parts of photographs, which take turns."""
    opened = [Image.open(io.BytesIO(content)).convert("RGB") for content in photographs]
    return [_scene(opened[n % len(opened)], images, digits, rng) for n in range(count)]


def _scene(
    photograph: Image.Image, images: Array, digits: Array, rng: np.random.Generator
) -> Scene:
    """Lay labels with some of the digits upon a part of a photograph."""
    picture = _part(photograph, rng)
    boxes: list[tuple[float, ...]] = []
    chosen = rng.choice(len(digits), rng.integers(*LABELS), replace=False)
    kept = []
    for number in chosen:
        label = _label(images[number], rng)
        place = _free_place(label, boxes, rng)
        if place is not None:
            left, top = place
            picture.paste(label, place, label)
            boxes.append((left, top, left + label.width, top + label.height))
            kept.append(number)
    return Scene(np.asarray(picture), np.array(boxes, float), digits[kept])


def _part(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut a part of the right shape out, mirrored or not, and as bright as it comes."""
    share = rng.uniform(0.6, 1.0)
    width = min(photograph.width, photograph.height * WIDTH / HEIGHT) * share
    height = width * HEIGHT / WIDTH
    left = rng.uniform(0, photograph.width - width)
    top = rng.uniform(0, photograph.height - height)
    part = photograph.resize(
        (WIDTH, HEIGHT), Image.Resampling.BILINEAR, (left, top, left + width, top + height)
    )
    if rng.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    bright = rng.uniform(0.6, 1.1)
    return part.point(lambda value: value * bright)


def _label(image: Array, rng: np.random.Generator) -> Image.Image:
    """Paper with a digit on it, askew; what is not paper is transparent."""
    side = int(rng.integers(*SIDES))
    paper, ink = rng.uniform(190, 255, 3), rng.uniform(0, 90, 3)
    written = int(side * 0.8)
    digit = Image.fromarray((image * 255 // BRIGHTEST).astype(np.uint8))
    strokes = digit.resize((written, written), Image.Resampling.BILINEAR)
    label = Image.new("RGBA", (side, side), (*map(int, paper), 255))
    edge = (side - written) // 2
    label.paste((*map(int, ink), 255), (edge, edge), strokes)
    return label.rotate(rng.uniform(-TILT, TILT), Image.Resampling.BILINEAR, expand=True)


def _free_place(
    label: Image.Image, taken: Sequence[tuple[float, ...]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Left and top of a place where no other label lies; None: none was found."""
    for _ in range(30):
        left = int(rng.integers(MARGIN, WIDTH - MARGIN) - label.width / 2)
        top = int(rng.integers(MARGIN, HEIGHT - MARGIN) - label.height / 2)
        right, bottom = left + label.width, top + label.height
        if not any(left < r and top < b and right > x and bottom > y for x, y, r, b in taken):
            return left, top
    return None
