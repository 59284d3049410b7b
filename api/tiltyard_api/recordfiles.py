"""How records lie in folders and stores: what writes them and what reads them agree here.

`PIPELINE/STREAM/date=2026-11-21/hour=17/20261121T171530-….parquet`: the moment is when the file was
begun, in UTC. A file of the other ending is still being written, or could not be closed.
"""

DEFAULT_FOLDER = ".tiltyard/records"
"""Where they are on a laptop, if nobody says otherwise."""

INFERENCES = "inferences"
"""The stream of what callers were answered; those of challengers are called STEP.MODEL."""

FEEDBACK = "feedback"
"""The stream of the outcomes that callers told of."""

CLOSED = ".parquet"
OPEN = ".arrow"

STAMP = "%Y%m%dT%H%M%S"
"""What the name of a file begins with."""

OPEN_SECONDS = 300
"""Longest that a file is written to, give or take what the machine is busy with."""

BACKLOG = 512
"""MiB of files that may wait for a store; what comes then is dropped, and counted."""
