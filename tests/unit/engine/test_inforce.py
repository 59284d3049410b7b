"""What workers say of the table that they run, and what a reader makes of it."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiltyard_api.routing import RoutingTable
from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.inforce import InForce, forget, in_force_series, lowest, tell

ONE, TWO = (
    RoutingTable(plan="p", pipeline_uid="u", revision=revision, steps={}).sealed()
    for revision in (1, 2)
)


@pytest.fixture
def counters(tmp_path: Path) -> CounterFile:
    return CounterFile(tmp_path / "counters", Layout(list(in_force_series("p"))), 2)


def known(table: RoutingTable) -> InForce:
    return InForce(table.revision, table.hash)


def test_the_worker_furthest_behind_counts(counters: CounterFile) -> None:
    first, second = counters.blocks
    assert lowest(counters.blocks, "p") == InForce(0, None)
    tell(first, "p", TWO)
    assert lowest(counters.blocks, "p") == InForce(0, None)
    tell(second, "p", ONE)
    assert lowest(counters.blocks, "p") == known(ONE)
    tell(second, "p", TWO)
    assert lowest(counters.blocks, "p") == known(TWO)
    forget(first, "p")
    assert lowest(counters.blocks, "p") == InForce(0, None)


def test_workers_that_run_different_tables_of_one_revision_run_none_in_common(
    counters: CounterFile,
) -> None:
    twin = ONE.model_copy(update={"pipeline_uid": "v", "hash": ""}).sealed()
    for block, table in zip(counters.blocks, (ONE, twin), strict=True):
        tell(block, "p", table)
    assert lowest(counters.blocks, "p") == InForce(1, None)


def test_a_worker_that_was_killed_while_it_wrote_tells_no_hash(counters: CounterFile) -> None:
    for block in counters.blocks:
        tell(block, "p", ONE)
    block = counters.blocks[0]
    block.words[block.offset("routing_coming", "p")] = 2
    assert lowest(counters.blocks, "p") == InForce(1, None)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_no_hash_is_ever_half_of_one_table_and_half_of_another(counters: CounterFile) -> None:
    tables = [
        RoutingTable(plan="p", pipeline_uid="u", revision=n, steps={}).sealed()
        for n in range(1, 2_000)
    ]
    for block in counters.blocks:
        tell(block, "p", tables[0])

    def switch() -> None:
        for table in tables:
            for block in counters.blocks:
                tell(block, "p", table)

    writer = threading.Thread(target=switch)
    writer.start()
    seen: list[InForce] = []
    while writer.is_alive():
        seen.append(lowest(counters.blocks, "p"))
    writer.join()
    whole = {known(table) for table in tables}
    told = [one for one in seen if one.hash]
    assert len(told) > 100
    assert [one for one in told if one not in whole] == []
    assert [one.revision for one in seen] == sorted(one.revision for one in seen)
