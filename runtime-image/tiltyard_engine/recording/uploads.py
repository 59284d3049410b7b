"""Carries closed files of records to an object store, for as long as it takes."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tiltyard_api.recordfiles import CLOSED, OPEN
from tiltyard_engine.log import log
from tiltyard_engine.recording.segments import abandoned, settle
from tiltyard_engine.recording.shelves import Tally
from tiltyard_engine.sources.base import ArtifactError

SENT = ".sent"
DAMAGED = ".damaged"
"""Of a file that cannot be read, as after a power cut: it must not be in the way of the others."""

LOOK_SECONDS = 0.5
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between attempts, by how many failed in a row."""

Put = Callable[[str, bytes], None]
"""Writes an object, or raises `ArtifactError`."""


class Uploads:
    """One Pipeline's files, on a thread of their own: a slow store holds up nobody.

    A file that arrived is renamed with the number of rows that had arrived with it, then counted,
    then removed: whatever moment we are killed at, its rows count once.
    """

    def __init__(self, folder: Path, put: Put, tallies: Mapping[str, Tally]) -> None:
        self._folder = folder
        self._put = put
        self._tallies = tallies
        self._deadline = math.inf
        self._failed = 0
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)

    def recover(self) -> None:
        """Finish what a process before us had sent."""
        for path in self._folder.rglob(f"*{SENT}"):
            tally = self._tally(path)
            tally.written = max(tally.written, int(path.stem.rpartition(".")[2]))
            path.unlink()
        for path in abandoned(self._folder):
            settle(path)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Send what is left while there is time, and say what stays."""
        self._deadline = time.monotonic() + seconds
        self._thread.join(seconds + 1)
        left = [path for path in self._folder.rglob("*.*") if path.suffix in (OPEN, CLOSED)]
        if left:
            log("records could not be sent", files=len(left), folder=str(self._folder))

    def _run(self) -> None:
        while True:
            ending = self._deadline < math.inf
            sent = self._send_all()
            if ending and (sent or time.monotonic() > self._deadline):
                return
            pause = PAUSES[min(self._failed, len(PAUSES)) - 1] if self._failed else LOOK_SECONDS
            self._wait(pause)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._deadline == math.inf:
            time.sleep(0.05)

    def _send_all(self) -> bool:
        """Send what is closed; False where the store does not take it."""
        for path in sorted(self._folder.rglob(f"*{CLOSED}")):
            rows = _rows(path)
            if rows is None:
                continue
            try:
                self._put(str(path.relative_to(self._folder)), path.read_bytes())
            except (ArtifactError, OSError) as error:
                if not self._failed:
                    log("records wait for their store", why=str(error))
                self._failed += 1
                if self._deadline < math.inf:
                    time.sleep(0.2)
                return False
            self._failed = 0
            self._count(path, rows)
        return True

    def _count(self, path: Path, rows: int) -> None:
        tally = self._tally(path)
        total = tally.written + rows
        sent = path.rename(path.with_name(f"{path.stem}.{total}{SENT}"))
        tally.written = total
        sent.unlink()

    def _tally(self, path: Path) -> Tally:
        return self._tallies[path.relative_to(self._folder).parts[0]]


def _rows(path: Path) -> int | None:
    """Rows of a closed file; None: it is damaged, and put aside."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        log("a file of records is damaged and put aside", file=str(path), why=str(error)[:300])
        path.rename(path.with_suffix(DAMAGED))
        return None
