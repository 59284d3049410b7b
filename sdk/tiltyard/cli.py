"""The program `tiltyard`: runs a command and turns what goes wrong into one line and a code.

0: it worked. 1: it failed, standard error says why and what to do. 2: it was called wrongly.
"""

import sys

from tiltyard.failure import Failure

DEBUG = "--debug"


def main() -> None:
    """Run the command line; ends the process."""
    debug = DEBUG in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        from tiltyard.commands import app  # noqa: PLC0415 - what it needs may not be installed

        app(arguments, prog_name="tiltyard")
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
