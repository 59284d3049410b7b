"""Bars for what is fetched: drawn on a terminal only, out of what the fetcher tells."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

DRAWN = 0.1
"""Seconds between two looks while bars are drawn."""

IDLE = 1.0
"""Seconds between two looks where nobody watches; the end of the child is seen at once."""


class NoBars:
    """Where standard error is no terminal."""

    inherited: Sequence[int] = ()

    def flags(self) -> Sequence[str]:
        """Arguments that the fetcher needs to tell how far it is."""
        return ()

    def draw(self) -> float:
        """Draw what is new; returns the seconds to the next look."""
        return IDLE


class Bars(NoBars):
    """A bar for each artifact that takes long enough to be told of."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - slow, and for terminals only
        from rich.progress import (  # noqa: PLC0415 - likewise
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )

        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self.inherited = (self._write,)
        self._rest = b""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,  # no thread: the command line forks
            transient=True,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        os.close(self._read)
        os.close(self._write)

    def flags(self) -> Sequence[str]:
        """Arguments that the fetcher needs to tell how far it is."""
        return ("--progress", str(self._write))

    def draw(self) -> float:
        """Draw what is new; returns the seconds to the next look."""
        with suppress(BlockingIOError):
            *lines, self._rest = (self._rest + os.read(self._read, 65536)).split(b"\n")
            for line in lines:
                self._update(**json.loads(line))
            self._progress.refresh()
        return DRAWN

    def _update(self, uri: str, done: int, size: int | None) -> None:
        if uri not in self._tasks:
            self._tasks[uri] = self._progress.add_task(uri)
        self._progress.update(self._tasks[uri], completed=done, total=size)  # type: ignore[arg-type]  # None is taken


@contextmanager
def progress_bars() -> Iterator[NoBars]:
    """Give bars where somebody watches."""
    if not sys.stderr.isatty():
        yield NoBars()
        return
    with Bars() as bars:
        yield bars
