"""One request on the way to its answer."""

from collections.abc import Callable

from tiltyard_engine.http.head import Head
from tiltyard_engine.http.message import Response


class Exchange:
    """Keeps a request's place in the order of its connection until the answer is there."""

    __slots__ = ("_flush", "head", "response")

    def __init__(self, head: Head, flush: Callable[[], None]) -> None:
        self.head = head
        self.response: Response | None = None
        self._flush = flush

    def answer(self, response: Response) -> None:
        """Give the answer, which goes out as soon as those before it have gone."""
        if self.response is not None:
            raise RuntimeError("a request was answered twice")
        self.response = response
        self._flush()
