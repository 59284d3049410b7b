from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_core.draws import DRAW_SPACE, value_draw
from tiltyard_engine.counters import CounterFile, Layout, Series
from tiltyard_engine.drawsets import DrawSet, set_series

ROOM = 1000
SET, BESIDE = set_series("failed", "canary", "a"), Series("beside")
DRAWS = st.integers(min_value=0, max_value=DRAW_SPACE - 1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> CounterFile:
    path = tmp_path_factory.mktemp("units") / "counters"
    return CounterFile(path, Layout([Series("before"), SET, BESIDE]), 1)


@pytest.fixture
def units(file: CounterFile) -> Iterator[DrawSet]:
    made = DrawSet(file.blocks[0], SET, ROOM)
    made.replace(())
    yield made
    assert (file.total(Series("before")), file.total(BESIDE)) == (0, 0), "it keeps to its place"


def fill(units: DrawSet, draws: list[int]) -> None:
    for draw in draws:
        if draw not in units and not units.full:
            units.add(draw)


@given(draws=st.lists(DRAWS | st.integers(0, 20), max_size=200))
def test_a_set_holds_each_unit_once_whatever_the_order(file: CounterFile, draws: list[int]) -> None:
    units = DrawSet(file.blocks[0], SET, ROOM)
    units.replace(())
    fill(units, draws)
    expected = {draw or 1 for draw in draws}
    assert set(units) == expected
    assert len(list(units)) == len(units) == len(expected)
    assert all(draw in units for draw in draws)
    assert (DRAW_SPACE - 1 in units) == (DRAW_SPACE - 1 in expected)


@pytest.mark.parametrize(
    "keys",
    [
        [f"user-{n}" for n in range(ROOM + 10)],
        [n / (ROOM + 10) for n in range(ROOM + 10)],
    ],
    ids=["hashed", "draws themselves"],
)
def test_a_full_set_says_so_and_still_knows_what_it_holds(
    units: DrawSet, keys: list[object]
) -> None:
    draws = [value_draw("salt", key) for key in keys]
    fill(units, draws)
    assert units.full
    assert set(units) == {draw or 1 for draw in draws[:ROOM]}
    assert not any(draw in units for draw in draws[ROOM:])


def test_a_set_may_be_replaced_by_another(units: DrawSet) -> None:
    fill(units, [0, 7, 8])
    units.replace({8, 9})
    assert (set(units), len(units), 7 in units, 8 in units) == ({8, 9}, 2, False, True)
    units.replace(())
    assert (list(units), len(units), 8 in units) == ([], 0, False)


def test_another_process_that_opens_the_file_finds_the_units(tmp_path: Path) -> None:
    layout = Layout([SET])
    first = CounterFile(tmp_path / "counters", layout, 2)
    fill(DrawSet(first.blocks[1], SET, ROOM), [11, 12])
    again = CounterFile(tmp_path / "counters", layout, 2)
    assert set(DrawSet(again.blocks[1], SET, ROOM)) == {11, 12}
    assert again.incarnation == first.incarnation
    other = CounterFile(tmp_path / "counters", Layout([SET, BESIDE]), 2)
    assert other.incarnation != first.incarnation
