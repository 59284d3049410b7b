"""What the command line writes: results on standard output, all else on standard error."""

import json
import sys


def notice(text: str) -> None:
    """Tell people, on standard error, what is going on."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def result(text: str) -> None:
    """Write a line of the result, at once: a program may wait for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def document(data: object, output: str) -> None:
    """Write data for programs, as `json` or `yaml`."""
    if output == "json":
        result(json.dumps(data, indent=2, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415 - costs more than most commands, and is seldom asked for

    result(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())
