"""What challengers that nobody waits for have given, on its way to the recorder."""

import pickle
import time
from collections.abc import Sequence
from itertools import pairwise

from tiltyard_engine.columns import Columns
from tiltyard_engine.recording.parcels import HEAD
from tiltyard_engine.recording.sending import Sender

Ran = tuple[int, list[str], list[int], Columns]
"""Microseconds since 1970, the id of each request and its rows, outputs of all."""


class ChallengerRecording:
    """Records of one challenger."""

    def __init__(self, sender: Sender, stream: int) -> None:
        self._sender = sender
        self._stream = stream
        self._account = sender.account(stream)

    def ran(self, ids: Sequence[str], ends: Sequence[int], outputs: Columns) -> None:
        """Hand over what it gave; requests that are not recorded have no id here."""
        wanted = [
            (one, start, end) for one, (start, end) in zip(ids, pairwise(ends), strict=True) if one
        ]
        if not wanted:
            return
        if len(wanted) < len(ids):
            for one, start, end in wanted:
                mine = {name: column[start:end] for name, column in outputs.items()}
                self._send([one], [end - start], mine)
        else:
            self._send(list(ids), [end - start for _, start, end in wanted], outputs)

    def _send(self, ids: list[str], rows: list[int], outputs: Columns) -> None:
        total = sum(rows)
        self._account.offered(total)
        body = pickle.dumps((time.time_ns() // 1000, ids, rows, outputs), protocol=5)
        self._sender.put(self._stream, [HEAD.pack(self._stream, total, len(body), 1), body], total)


def read_ran(record: memoryview) -> Ran:
    """Read what was handed over."""
    _, _, length, _ = HEAD.unpack_from(record)
    ran: Ran = pickle.loads(record[HEAD.size : HEAD.size + length])  # noqa: S301 - our own process wrote it
    return ran
