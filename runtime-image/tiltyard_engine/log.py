"""Log lines: JSON on standard error, a constant phrase and fields."""

import json
import sys
import time


def log(phrase: str, **fields: object) -> None:
    """Write one line."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "message": phrase}
    sys.stderr.write(json.dumps({**line, **fields}, default=str) + "\n")
    sys.stderr.flush()
