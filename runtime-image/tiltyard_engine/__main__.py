"""`python -m tiltyard_engine --plan FILE --routing FILE --artifacts DIR`: serve a Pipeline."""

import os

# Before numpy is imported: its linear algebra is never used, its threads would only cost memory.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys

from tiltyard_engine.signals import end_when_told, hold

_HELD_BEFORE = hold()

from tiltyard_engine.load import LoadError  # noqa: E402 - what follows starts threads
from tiltyard_engine.parents import end_with_parent  # noqa: E402 - likewise
from tiltyard_engine.settings import parse  # noqa: E402 - likewise
from tiltyard_engine.supervisor import Supervisor  # noqa: E402 - likewise


def main() -> int:
    """Start; returns the exit code."""
    settings = parse(sys.argv[1:])
    end_when_told(_HELD_BEFORE)
    parent = settings.starter.parent
    if parent:
        end_with_parent()
        if os.getppid() != parent:  # it ended before we could ask to be told
            return 1
    try:
        return Supervisor(settings).run()
    except LoadError as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")


def _fail(why: str) -> int:
    sys.stderr.write(f"tiltyard_engine: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
