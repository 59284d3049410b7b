"""What one worker does for records: draws, holds and hands over. All else is the recorder's."""

import random
import secrets
import time
from collections.abc import Sequence

from tiltyard_api.plan import Plan, PlanRecords
from tiltyard_engine.call import Call
from tiltyard_engine.columns import size_of
from tiltyard_engine.recording.outcomes import Outcome, write_outcomes
from tiltyard_engine.recording.parcels import Parcels
from tiltyard_engine.recording.sending import Account, Sender

PARCEL_BYTES = 1 << 20
"""Calls go together up to this size; beyond it the copy costs more."""


class Recording:
    """Records of one Pipeline in one worker."""

    def __init__(
        self,
        plan: Plan,
        records: PlanRecords,
        sender: Sender,
        stream: int,
        feedback: int | None = None,
    ) -> None:
        self._parcels = Parcels(plan, records)
        self._sender = sender
        self._stream = stream
        self._feedback = feedback
        self._account: Account = sender.account(stream)
        self._sample = records.sample
        self._chance = random.Random(secrets.randbits(64))  # noqa: S311 - a draw is no secret
        self._calls: list[Call] = []
        self._times: list[int] = []

    def take(self, call: Call) -> bool:
        """Hold an answered call, if it is drawn."""
        if self._sample < 1 and self._chance.random() >= self._sample:
            return False
        call.recorded = True
        self._account.offered(call.rows)
        self._calls.append(call)
        self._times.append(time.time_ns() // 1000)
        return True

    def outcomes(self, told: Sequence[Outcome]) -> None:
        """Hand over feedback that was accepted: all of it, whatever the sample."""
        if self._feedback is None or not told:
            return
        self._sender.account(self._feedback).offered(len(told))
        pieces = write_outcomes(self._feedback, time.time_ns() // 1000, told)
        self._sender.put(self._feedback, pieces, len(told))

    def flush(self) -> None:
        """Hand over what is held."""
        calls, times = self._calls, self._times
        if not calls:
            return
        self._calls, self._times = [], []
        odd = [n for n, call in enumerate(calls) if not self._parcels.plain(call)]
        if odd:
            self._send([calls[n] for n in odd], [times[n] for n in odd], whole=True)
            rest = sorted(set(range(len(calls))).difference(odd))
            calls, times = [calls[n] for n in rest], [times[n] for n in rest]
        if calls:
            self._send(calls, times)

    def _send(self, calls: list[Call], times: list[int], *, whole: bool = False) -> None:
        """Send calls together, or one by one where they are large."""
        first = calls[0]
        room = size_of(first.tensors) + sum(map(size_of, first.outputs.values()))
        rows = sum(call.rows for call in calls)
        if len(calls) > 1 and room * rows > PARCEL_BYTES * first.rows:
            for call, moment in zip(calls, times, strict=True):
                self._send([call], [moment], whole=whole)
            return
        pieces = None if whole else self._parcels.stacked(self._stream, calls, times)
        if pieces is None:
            pieces = self._parcels.pickled(self._stream, calls, times)
        self._sender.put(self._stream, pieces, rows)
