"""What both detectors learn by: windows of grey maps, networks over them, and what misled them."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scenes import Array, Scene
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier

LUMA = np.array([0.299, 0.587, 0.114]) / 255
NOTHING = 10
"""Class of a window without a label in its middle."""

CLOSE, APART = 6.0, 24.0
"""Pixels between the middles of a window and of a label: it shows the label below the one, nothing
above the other, and in between nothing that is worth learning."""

EACH = 5
"""Windows of each label that are learned, and for each of them, so many others."""
OTHERS = 10
MISLED = 30
"""Windows of a scene that misled a network, and are learned once more."""

EPOCHS = 25
SEED = 7


@dataclass(frozen=True)
class Grid:
    """Windows side by side on a map of which a cell is so many pixels square."""

    cell: int
    window: int
    step: int

    def map(self, picture: Array) -> Array:
        """Grey of a picture, a mean for each cell."""
        grey = (picture @ LUMA).astype(np.float32)
        height, width = (length // self.cell for length in grey.shape)
        return grey.reshape(height, self.cell, width, self.cell).mean(axis=(1, 3))

    def windows(self, picture: Array) -> Array:
        """Every window, flat, around its own mean."""
        views = sliding_window_view(self.map(picture), (self.window, self.window))
        flat = views[:: self.step, :: self.step].reshape(-1, self.window**2)
        return flat - flat.mean(axis=1, keepdims=True)

    def middles(self, height: int, width: int) -> Array:
        """Middle of each window in pixels, x and y twice: as a box without extent."""
        ys, xs = (
            np.arange(0, length // self.cell - self.window + 1, self.step) + self.window / 2
            for length in (height, width)
        )
        x, y = np.meshgrid(xs * self.cell, ys * self.cell)
        return np.stack([x, y, x, y], -1).reshape(-1, 4)


@dataclass(frozen=True)
class Examples:
    """Windows, what they show, and where its edges are, seen from the middle."""

    windows: Array
    classes: Array
    edges: Array


@dataclass(frozen=True)
class Network:
    """A hidden layer, what it tells of the class, and of the edges."""

    classifier: MLPClassifier
    edges: Ridge

    def hidden(self, windows: Array) -> Array:
        """Give what the hidden layer makes of windows."""
        return _hidden(self.classifier, windows)


def learned(
    scenes: Sequence[Scene], grid: Grid, size: int, class_of: Callable[[Array], Array]
) -> Network:
    """Train a network; then once more, with the windows that misled it the first time."""
    rng = np.random.default_rng(SEED)
    chosen = _joined(_chosen(scene, grid, rng) for scene in scenes)
    first = _trained(chosen, size, class_of)
    misleading = _joined(_misleading(scene, grid, first) for scene in scenes)
    return _trained(_joined(iter((chosen, misleading))), size, class_of)


def fitted(inputs: Array, classes: Array, size: int) -> MLPClassifier:
    """Train a classifier of one hidden layer."""
    classifier = MLPClassifier((size,), alpha=0.001, max_iter=EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are what we choose
        return classifier.fit(inputs.astype(np.float32), classes)


def _trained(shown: Examples, size: int, class_of: Callable[[Array], Array]) -> Network:
    classifier = fitted(shown.windows, class_of(shown.classes), size)
    labels = shown.classes != NOTHING
    edges = Ridge(1.0).fit(_hidden(classifier, shown.windows[labels]), shown.edges[labels])
    return Network(classifier, edges)


def _hidden(classifier: MLPClassifier, windows: Array) -> Array:
    return np.maximum(windows @ classifier.coefs_[0] + classifier.intercepts_[0], 0)


def _all_of(scene: Scene, grid: Grid) -> tuple[Examples, Array]:
    """Every window of a scene, and how far its middle is from that of the nearest label."""
    middles = grid.middles(*scene.picture.shape[:2])
    of_labels = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    away = np.linalg.norm(middles[:, None, :2] - of_labels[None], axis=2)
    nearest, distance = away.argmin(axis=1), away.min(axis=1)
    classes = np.where(distance <= CLOSE, scene.digits[nearest], NOTHING)
    edges = scene.boxes[nearest] - middles
    return Examples(grid.windows(scene.picture), classes, edges), distance


def _chosen(scene: Scene, grid: Grid, rng: np.random.Generator) -> Examples:
    """Some windows of each label, and some of what lies around."""
    every, distance = _all_of(scene, grid)
    labels, others = np.flatnonzero(distance <= CLOSE), np.flatnonzero(distance >= APART)
    near = np.flatnonzero((distance >= APART) & (distance < 3 * APART))
    count = len(scene.digits)
    taken = [
        rng.permutation(labels)[: EACH * count],
        rng.permutation(others)[: OTHERS * count // 2],
        rng.permutation(near)[: OTHERS * count // 2],
    ]
    return _some(every, np.concatenate(taken))


def _misleading(scene: Scene, grid: Grid, network: Network) -> Examples:
    """Windows that a network takes for a label most, though they show none."""
    every, distance = _all_of(scene, grid)
    shares = network.classifier.predict_proba(every.windows)
    nothing = shares[:, -1] if shares.shape[1] > 2 else shares[:, 0]
    nothing = np.where(distance >= APART, nothing, 1.0)
    worst = np.argsort(nothing, kind="stable")[:MISLED]
    return _some(every, worst[nothing[worst] < 0.9])


def _some(shown: Examples, which: Array) -> Examples:
    return Examples(shown.windows[which], shown.classes[which], shown.edges[which])


def _joined(parts: Iterator[Examples]) -> Examples:
    every = list(parts)
    return Examples(
        np.concatenate([part.windows for part in every]),
        np.concatenate([part.classes for part in every]),
        np.concatenate([part.edges for part in every]),
    )
