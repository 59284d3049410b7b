"""What becomes of rows that are to be written down, as metrics tell it."""

from collections.abc import Iterator

from tiltyard_engine.counters import Series

LOST = ("starved", "crashed", "lost", "full", "failed")
"""Why rows were not written: the way to the recorder was full, a process died with them, the whole
engine did, there was no room on disk, they make no table."""

WRITTEN = "written"
RESULTS = (WRITTEN, *LOST)

BY_WORKERS = ("starved", "crashed")
"""Counted by those who hand over; all else by the recorder, in the first block."""

KEPT = "records_kept"
"""Rows in files of this machine, exposed as written only where they stay: not exposed itself."""


def record_series(pipeline: str, stream: str) -> Iterator[Series]:
    """What is counted of a stream, in rows."""
    yield Series("tiltyard_records_offered_total", (pipeline, stream))
    yield Series(KEPT, (pipeline, stream))
    for result in RESULTS:
        yield Series("tiltyard_records_total", (pipeline, stream, result))
