"""`hf://OWNER/REPOSITORY[@REVISION]/FILE`: a file of a model repository of Hugging Face."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote

from tiltyard_engine.sources.base import Access, Stream, unusable
from tiltyard_engine.sources.https import fetched

ENDPOINT = "https://huggingface.co"
PLACE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?/(?P<file>.+)")
COMMIT = re.compile("[0-9a-f]{40}")
DIGEST = re.compile("[0-9a-f]{64}")


@contextmanager
def open_file(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open a file at a revision, `main` where none is named."""
    match = PLACE.fullmatch(parts.netloc + parts.path)
    if not match or parts.query or parts.fragment:
        raise unusable(
            f"{uri}: write hf://OWNER/REPOSITORY/FILE or hf://OWNER/REPOSITORY@REVISION/FILE"
        )
    repository, file = match["repository"], match["file"]
    revision = quote(unquote(match["revision"] or "main"), safe="")
    endpoint = os.environ.get("HF_ENDPOINT", ENDPOINT).rstrip("/")
    url = f"{endpoint}/{repository}/resolve/{revision}/{quote(unquote(file))}"
    with fetched(url, access, {}, _authorization(access)) as answer:
        # The hub itself says what it is; the body may come from elsewhere.
        commit = answer.first.get("X-Repo-Commit", "")
        digest = answer.first.get("X-Linked-Etag", "").strip('"')
        yield replace(
            answer.stream,
            address=f"hf://{repository}@{commit}/{file}" if COMMIT.fullmatch(commit) else None,
            digest=digest if DIGEST.fullmatch(digest) else None,
        )


def _authorization(access: Access) -> dict[str, str]:
    token = access.key("HF_TOKEN") or (_own_token() if access.secret is None else None)
    return {"Authorization": f"Bearer {token}"} if token else {}


def _own_token() -> str | None:
    """Token of the variable, or the one that `hf auth login` left."""
    if os.environ.get("HF_TOKEN"):
        return os.environ["HF_TOKEN"]
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    try:
        return (Path(home) / "token").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
