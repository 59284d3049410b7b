"""What goes wrong for a user: told in words, never as a traceback."""

from collections.abc import Sequence


class Failure(Exception):  # noqa: N818 - the word of the exit code: the command failed
    """A command cannot do what it was asked to.

    Args:
        lines: what is wrong and what to do, one line for each thing to mend.

    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines: Sequence[str] = lines
