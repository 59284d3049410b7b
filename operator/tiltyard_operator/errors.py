"""What a call to the API server may end with, besides an answer."""


class NoCluster(Exception):  # noqa: N818 - what is the matter
    """Nothing says where an API server is."""


class ClusterError(Exception):
    """A call that did not do what it was to do."""


class Conflict(ClusterError):  # noqa: N818 - the API server's word
    """The object is not what we took it for: it changed, went, or is there already.

    Read it again and decide again.
    """


class Refused(ClusterError):  # noqa: N818 - likewise
    """The API server does not take this content, and would not take it a second time.

    Args:
        code: status of HTTP.
        reason: the server's word, such as `Forbidden` or `Invalid`.
        message: the server's sentence: names the quota, policy, right or field in the way.

    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class Unavailable(ClusterError):  # noqa: N818 - likewise
    """No answer that says anything: try again later. A write may have happened, or not.

    Args:
        message: what was tried, and what came instead of an answer.
        retry_after: seconds that the server asks us to wait, None where it does not say.

    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
