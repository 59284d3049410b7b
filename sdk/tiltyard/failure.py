"""What goes wrong for a user: told in words, never as a traceback."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Failure(Exception):  # noqa: N818 - the word of the exit code: the command failed
    """A command cannot do what it was asked to.

    Args:
        lines: what is wrong and what to do, one line for each thing to mend.

    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines: Sequence[str] = lines


@contextmanager
def elsewhere(name: str) -> Iterator[None]:
    """Say of what is not found in a cluster that no file here has its name either."""
    try:
        yield
    except (EntityNotFoundError, NoClusterError) as failure:
        here = f"{name}: there is no such file or folder here, so a Pipeline of a cluster is meant"
        raise Failure(here, *failure.lines) from failure


class EntityNotFoundError(Failure):
    """There is no model, pipeline, version or workspace of that name."""


class NoClusterError(Failure):
    """There is no cluster to ask, or none that has Tiltyard."""


class InferenceError(Failure):
    """An engine refused a request, or failed at it.

    Args:
        message: what it said, in one sentence.
        code: the HTTP status.
        reason: its word for programs; empty where it was no engine that answered.
        field: the column that is to blame, where one is.
        row: the row that is to blame, from 0, where one is.

    """

    def __init__(
        self,
        message: str,
        code: int,
        reason: str = "",
        field: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field
        self.row = row


class InferenceTimeoutError(Failure):
    """An answer did not come in time."""
