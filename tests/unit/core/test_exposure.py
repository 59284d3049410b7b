"""Who gets the candidate: key by key as predicted, and nobody is ever given back."""

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from tiltyard_api.v1alpha1.canary import Ramp
from tiltyard_core.draws import DRAW_SPACE, canary_ends, keyed_draw, pick, thresholds
from tiltyard_core.ramp import heights

SALT = "default/forecasts/swap"
RAMPS = {
    "linear": Ramp.model_validate({"linear": {"duration": "1h", "target": 100}}),
    "to a third": Ramp.model_validate({"linear": {"duration": "1h", "target": 33.3}}),
    "steps": Ramp.model_validate(
        {"steps": [{"weight": one} for one in (0, 0.1, 1, 5, 5, 12.5, 50, 99.9, 100)]}
    ),
}


def documented_draw(key: str) -> int:
    """Draw of a key, as any client can tell from the documents."""
    return int(hashlib.sha256(f"{SALT}\0{key}".encode()).hexdigest()[:16], 16)


def documented(draws: Sequence[int], weight: float) -> list[bool]:
    """Whether draws get the candidate: the documents' inequality, in whole numbers."""
    whole, parts = Fraction(str(weight)).as_integer_ratio()
    return [draw * 100 * parts < 2**64 * whole for draw in draws]


def exposed(draws: Sequence[int], weight: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    ends = canary_ends(weight)
    return np.fromiter((pick(ends, draw) == 0 for draw in draws), bool, len(draws))


def follow(ramp: Ramp, keys: int) -> None:
    """Take keys through a ramp, and foretell each by the documents' words alone."""
    names = [f"user-{n}" for n in range(keys)]
    draws = [keyed_draw(SALT, name) for name in names]
    foretold = [documented_draw(name) for name in names]
    before = np.zeros(keys, bool)
    for stage in heights(ramp):
        now = exposed(draws, stage.weight)
        assert not (before & ~now).any()
        share = stage.weight / 100
        spread = math.sqrt(keys * share * (1 - share))
        assert abs(now.sum() - keys * share) <= 4 * spread
        assert now.tolist() == documented(foretold, stage.weight)
        before = now


@pytest.mark.parametrize("ramp", RAMPS.values(), ids=RAMPS.keys())
def test_keys_get_the_candidate_as_predicted_and_keep_it(ramp: Ramp) -> None:
    follow(ramp, keys=20_000)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ramp", RAMPS.values(), ids=RAMPS.keys())
def test_a_million_keys_get_the_candidate_as_predicted_and_keep_it(ramp: Ramp) -> None:
    follow(ramp, keys=10**6)


@pytest.mark.parametrize("weight", [0, 0.1, 1, 3.3, 5, 33.3, 50, 99.9, 100])
def test_a_canary_draws_like_a_split_with_the_candidate_first(weight: float) -> None:
    rest = float(100 - Fraction(str(weight)))
    assert canary_ends(weight) == thresholds([weight, rest])


@pytest.mark.parametrize(("weight", "candidate"), [(0, []), (100, [0, 1, DRAW_SPACE - 1])])
def test_nobody_and_everybody_are_exact(weight: float, candidate: list[int]) -> None:
    ends = canary_ends(weight)
    assert [draw for draw in (0, 1, DRAW_SPACE - 1) if pick(ends, draw) == 0] == candidate
