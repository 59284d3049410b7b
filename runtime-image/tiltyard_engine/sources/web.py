"""`http://` and `https://`: a file that a server gives to whoever asks, or to who knows a word."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult

from tiltyard_engine.sources.base import Access, Stream, shown, unusable
from tiltyard_engine.sources.https import fetched


@contextmanager
def open_url(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open a URL, with `username` and `password`, or the `token`, of the Secret."""
    if parts.username or parts.password:
        raise unusable(
            f"{shown(uri)} holds a user or a password: put them into a Secret and name it by"
            " secretName"
        )
    with fetched(uri, access, {}, _authorization(access)) as answer:
        yield answer.stream


def _authorization(access: Access) -> dict[str, str]:
    token, user = access.key("token"), access.key("username")
    if token:
        return {"Authorization": f"Bearer {token}"}
    return basic(user, access.key("password") or "") if user else {}


def basic(user: str, password: str) -> dict[str, str]:
    """Give the header of a user and a password."""
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
