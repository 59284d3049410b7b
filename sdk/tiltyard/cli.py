"""The program `tiltyard`: runs a command and turns what goes wrong into one line and a code.

0: it worked. 1: it failed, standard error says why and what to do. 2: it was called wrongly.
"""

import os
import sys

from tiltyard.failure import Failure

DEBUG = "--debug"

COMPLETE = "_TILTYARD_COMPLETE"
"""Variable by which shells ask what a line may go on with."""


def main(called: str = "tiltyard") -> None:
    """Run the command line; ends the process."""
    debug = DEBUG in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        from tiltyard.commands import app  # noqa: PLC0415 - what it needs may not be installed

        if COMPLETE in os.environ:
            from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415 - seldom asked for

            completion_init()
        app(arguments, prog_name=called, complete_var=COMPLETE)
    except Exception as error:  # the outermost frame: whatever it is, the user hears of it
        if debug:
            raise
        sys.stderr.write(_explanation(error) + "\n")
        sys.exit(1)


def _explanation(error: Exception) -> str:
    if isinstance(error, Failure):
        return "\n".join(error.lines)
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install 'tiltyard[sdk]'"
    what = f"{type(error).__name__}: {error}".rstrip(": ").replace("\n", " ")
    return f"internal error: {what}; run it again with {DEBUG} and report what it shows"


def kubectl() -> None:
    """Run the same as a plugin: `kubectl tiltyard`."""
    main("kubectl tiltyard")


def kubectl_complete() -> None:
    """Tell kubectl what a line may go on with: one a line, then that files are no choice."""
    words = ["tiltyard", *sys.argv[1:]]
    os.environ |= {
        COMPLETE: "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    try:
        main()
    finally:
        sys.stdout.write("\n:4\n")
