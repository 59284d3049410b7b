import pytest

from tiltyard_api.v1alpha1.canary import Ramp
from tiltyard_core.ramp import Height, heights


def ramp(**fields: object) -> Ramp:
    return Ramp.model_validate(fields)


def test_a_linear_ramp_has_ten_stages_of_equal_height_and_length() -> None:
    assert heights(ramp(linear={"duration": "1h"})) == tuple(
        Height(10.0 * n, 360.0) for n in range(1, 11)
    )


@pytest.mark.parametrize(
    ("target", "weights"),
    [
        (33, [3.3, 6.6, 9.9, 13.2, 16.5, 19.8, 23.1, 26.4, 29.7, 33]),
        (1, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (99.9, [9.99, 19.98, 29.97, 39.96, 49.95, 59.94, 69.93, 79.92, 89.91, 99.9]),
    ],
)
def test_heights_are_the_decimals_that_people_expect(target: float, weights: list[float]) -> None:
    found = heights(ramp(linear={"duration": "10m", "target": target}))
    assert [one.weight for one in found] == weights


def test_a_stepped_ramp_is_what_it_says() -> None:
    steps = [{"weight": 0, "hold": "1m"}, {"weight": 2.5}, {"weight": 2.5, "hold": "1h30m"}]
    assert heights(ramp(steps=steps)) == (Height(0, 60), Height(2.5, None), Height(2.5, 5400))
