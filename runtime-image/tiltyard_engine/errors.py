"""What the engine tells a caller when it cannot answer.

    bytes -> decode -> steps -> encode -> bytes
             4xx       5xx (model) 503 (shed)

One exception class carries all of it: what differs between two refusals is the reason, not the
code that handles them.
"""

import traceback

from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_engine.log import log


class Refusal(Exception):  # noqa: N818 - the field's word; it is not always an error of ours
    """A request that gets no answer from a model.

    Args:
        reason: the stable word for machines; fixes the HTTP status.
        message: what is wrong, where, and what to do, for people.
        field: the column, parameter or header at fault, if one is.
        row: the row at fault, from 0, if one is.

    """

    def __init__(
        self, reason: Reason, message: str, *, field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = STATUS_OF[reason]
        self.message = message
        self.field = field
        self.row = row


def internal_failure(error: BaseException) -> Refusal:
    """What a caller is told of a fault of ours: nothing of its inside. Logs it, once."""
    trace = "".join(traceback.format_exception(error))
    log("a request failed by a fault of the engine", error=trace)
    return Refusal(Reason.MODEL_FAILED, "the engine failed on this request; its log says how")
