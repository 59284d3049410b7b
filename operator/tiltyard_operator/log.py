"""Log lines: JSON on standard error. Each line of a reconcile names the object it is about."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar

_about: ContextVar[str | None] = ContextVar("about", default=None)


@contextlib.contextmanager
def about(key: str) -> Iterator[None]:
    """Name the object that every line within is about."""
    token = _about.set(key)
    try:
        yield
    finally:
        _about.reset(token)


def log(phrase: str, **fields: object) -> None:
    """Write one line: a constant phrase, and what differs from time to time as fields."""
    line: dict[str, object] = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    key = _about.get()
    if key is not None:
        line["object"] = key
    text = json.dumps({**line, "message": phrase, **fields}, default=str)
    sys.stderr.write(text + "\n")  # one write: lines of threads never mix
    sys.stderr.flush()


class Lines(logging.Handler):
    """Lines of libraries in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's line."""
        fields = {"level": record.levelname.lower(), "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
        log(record.getMessage(), **fields)


def take_over(level: int = logging.WARNING) -> None:
    """Let everything that libraries log come out in our form."""
    logging.basicConfig(handlers=[Lines()], level=level, force=True)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # signals are ours
